//! The address at which a service of the estate answers HTTP requests.

use crate::domain::config::estate::Service;

/// The `health` address of a service without its last slash, otherwise its `port` on the environment's host. `None` if
/// the estate gives neither.
pub fn base_address(service: &Service) -> Option<String> {
    match (&service.health, service.port) {
        (Some(health), _) => Some(health.trim_end_matches('/').to_owned()),
        (None, Some(port)) => Some(format!("http://127.0.0.1:{port}")),
        (None, None) => None,
    }
}
