//! The subscription of an SNS topic: it is never confirmed by itself, but becomes an alert that an operator answers.

use std::time::Duration;

use crate::domain::alert::Alert;
use crate::domain::core::severity::Severity;
use crate::surface::intake::parse::sns_envelope::on_aws;
use crate::surface::intake::{Subscription, SubscriptionEvent};

/// The name of the alert.
pub const ASKED: &str = "subscription_asked";

/// How long AWS may take to confirm.
const WITHIN: Duration = Duration::from_secs(10);

/// The alert that a subscription's message becomes.
pub fn alert(asked: &Subscription) -> Alert {
    let (what, name) = match asked.event {
        SubscriptionEvent::Asked => ("asks whether it may post here", ASKED),
        SubscriptionEvent::Ended => ("does not post here any more", "subscription_ended"),
    };
    let token = asked.token.clone().map(|token| ("token".to_owned(), token));
    Alert {
        sender: asked.sender.clone(),
        firing: format!("{name} {}", asked.topic),
        recurs: true,
        name: name.to_owned(),
        summary: Some(format!("topic {} {what}", asked.topic)),
        severity: Some(Severity::P4),
        starts_at: asked.sent_at,
        labels: [("topic".to_owned(), asked.topic.clone())].into(),
        annotations: token.into_iter().collect(),
        link: asked.confirm.as_ref().map(ToString::to_string),
        warnings: asked.warnings.clone(),
        ..Alert::default()
    }
    .limited()
}

/// Confirms a subscription by the address in its alert, which has to be AWS's own.
///
/// # Errors
/// Why it is not confirmed.
pub async fn confirm(address: &str) -> Result<(), String> {
    let url = on_aws(address).ok_or("the address is not on a host of AWS SNS")?;
    let client = crate::actions::transport::http_client::client().map_err(|error| error.text)?;
    let response = client.get(url).timeout(WITHIN).send().await.map_err(|error| error.without_url().to_string())?;
    if response.status().is_success() { Ok(()) } else { Err(format!("AWS answered {}", response.status())) }
}
