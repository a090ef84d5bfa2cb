//! The subscription of an SNS topic: it is never confirmed by itself, but becomes an alert that an operator answers.

use std::time::Duration;

use crate::domain::alert::Alert;
use crate::domain::core::severity::Severity;
use crate::surface::intake::auth::on_aws;
use crate::surface::intake::{SnsSubscription, SubscriptionEvent};

/// The name of the alert for a subscription that waits for confirmation.
pub const ASKED: &str = "subscription_asked";

/// How long the confirmation request to AWS may take.
const WITHIN: Duration = Duration::from_secs(10);

/// The alert for a subscription message.
pub fn alert(asked: &SnsSubscription) -> Alert {
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

/// Confirms a subscription at the address in its alert, which must be on AWS's own host.
///
/// # Errors
/// Why the subscription is not confirmed.
pub async fn confirm(address: &str) -> Result<(), String> {
    let url = on_aws(address).ok_or("the address is not on a host of AWS SNS")?;
    let client = crate::actions::transport::http_client::client().map_err(|error| error.text)?;
    let response = client.get(url).timeout(WITHIN).send().await.map_err(|error| error.without_url().to_string())?;
    if response.status().is_success() { Ok(()) } else { Err(format!("AWS answered {}", response.status())) }
}
