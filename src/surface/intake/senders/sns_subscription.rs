//! The subscription of an SNS topic. It is never confirmed automatically: it becomes an alert, and an operator decides.

use std::time::Duration;

use crate::domain::alert::Alert;
use crate::domain::core::severity::Severity;
use crate::surface::intake::parse::sns_envelope::on_aws;
use crate::surface::intake::{SnsSubscription, SubscriptionEvent};

/// The name of the alert for a subscription that waits for confirmation.
pub const ASKED: &str = "subscription_asked";

/// How long the confirmation request to AWS may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// The alert for a subscription message.
pub fn alert(subscription: &SnsSubscription) -> Alert {
    let (what, name) = match subscription.event {
        SubscriptionEvent::Asked => ("asks to confirm its subscription", ASKED),
        SubscriptionEvent::Ended => ("has ended its subscription", "subscription_ended"),
    };
    let token = subscription.token.clone().map(|token| ("token".to_owned(), token));
    Alert {
        sender: subscription.sender.clone(),
        firing: format!("{name} {}", subscription.topic),
        recurs: true,
        name: name.to_owned(),
        summary: Some(format!("topic {} {what}", subscription.topic)),
        severity: Some(Severity::P4),
        starts_at: subscription.sent_at,
        labels: [("topic".to_owned(), subscription.topic.clone())].into(),
        annotations: token.into_iter().collect(),
        link: subscription.confirm.as_ref().map(ToString::to_string),
        warnings: subscription.warnings.clone(),
        ..Alert::default()
    }
    .limited()
}

/// Confirms a subscription at the address in its alert, which must be on a host of AWS.
///
/// # Errors
/// The reason why the subscription is not confirmed.
pub async fn confirm(address: &str) -> Result<(), String> {
    let url = on_aws(address).ok_or("the address is not on a host of AWS SNS")?;
    let client = crate::actions::transport::http_client::client().map_err(|error| error.text)?;
    let response =
        client.get(url).timeout(REQUEST_LIMIT).send().await.map_err(|error| error.without_url().to_string())?;
    if response.status().is_success() { Ok(()) } else { Err(format!("AWS answered {}", response.status())) }
}
