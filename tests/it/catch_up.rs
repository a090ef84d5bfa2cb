//! Catch-up after down time: firing alerts are read from a real Alertmanager, and missing ones are resolved.

use std::process::Command;

use chrono::{SecondsFormat, TimeDelta, Utc};
use runbook::domain::config::sender::{Auth, Sender, SenderFormat};
use runbook::engine::dispatcher::Received;
use runbook::surface::intake::server::Server;
use runbook::surface::intake::server::catch_up::catch_up;
use serde_json::json;

use crate::alerts::DispatcherFixture;
use crate::real::{self, prometheus};

const CONFIGURATION: &str = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";

/// Posts an alert that began a minute ago to an Alertmanager, as Prometheus does: ended, or firing for five more minutes.
fn post_alert(alertmanager: &prometheus::Server, name: &str, has_ended: bool) {
    let stamp = |at: chrono::DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let now = real::now();
    let ends = if has_ended { now } else { now + TimeDelta::minutes(5) };
    let body = json!([{
        "labels": {"alertname": name, "service": name},
        "startsAt": stamp(now - TimeDelta::minutes(1)),
        "endsAt": stamp(ends),
    }]);
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "-H", "Content-Type: application/json", "--data-binary", &body.to_string(), &url]);
    real::run(&mut curl, "curl");
}

fn kinds(received: &[Received]) -> Vec<&'static str> {
    let kind = |received: &Received| match received {
        Received::Opened(_) => "opened",
        Received::Joined(_) => "joined",
        Received::Repeated(_) => "repeated",
        Received::Resolved(_) => "resolved",
        Received::Unheard => "unheard",
    };
    let mut kinds: Vec<_> = received.iter().map(kind).collect();
    kinds.sort_unstable();
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_that_fired_or_ended_during_down_time_are_caught_up() {
    let alertmanager = prometheus::alertmanager(CONFIGURATION);
    let fixture = DispatcherFixture::new().await;
    fixture.clock.set(real::now());
    let server = Server::new(fixture.engine.clone(), fixture.dispatcher.clone(), Vec::new()).unwrap();
    let sender = Sender { catch_up: Some(alertmanager.url()), ..Sender::new(SenderFormat::Alertmanager, Auth::None) };
    let catch_up_result = async || kinds(&catch_up(&server, "alertmanager", &sender).await.unwrap());
    assert_eq!(catch_up_result().await, Vec::<&str>::new());
    post_alert(&alertmanager, "gone-soon", false);
    post_alert(&alertmanager, "lasting", false);
    assert_eq!(catch_up_result().await, ["opened", "opened"]);
    assert_eq!(catch_up_result().await, ["repeated", "repeated"]);
    post_alert(&alertmanager, "gone-soon", true);
    post_alert(&alertmanager, "new", false);
    assert_eq!(catch_up_result().await, ["opened", "repeated", "resolved"]);
    assert_eq!(catch_up_result().await, ["repeated", "repeated"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alertmanager_that_does_not_answer_ends_nothing() {
    let alertmanager = prometheus::alertmanager(CONFIGURATION);
    let fixture = DispatcherFixture::new().await;
    fixture.clock.set(real::now());
    let server = Server::new(fixture.engine.clone(), fixture.dispatcher.clone(), Vec::new()).unwrap();
    let sender =
        |address: String| Sender { catch_up: Some(address), ..Sender::new(SenderFormat::Alertmanager, Auth::None) };
    post_alert(&alertmanager, "lasting", false);
    let right = sender(alertmanager.url());
    assert_eq!(kinds(&catch_up(&server, "alertmanager", &right).await.unwrap()), ["opened"]);
    let page = prometheus::Page::serve("not the answer of an Alertmanager");
    let nobody = format!("http://127.0.0.1:{}", crate::real::daemon::free_port());
    for wrong in [page.url(), nobody] {
        assert!(catch_up(&server, "alertmanager", &sender(wrong.clone())).await.is_err(), "{wrong}");
    }
    assert_eq!(kinds(&catch_up(&server, "alertmanager", &right).await.unwrap()), ["repeated"]);
}
