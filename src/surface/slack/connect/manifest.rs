//! The manifest of the app, for pasting into Slack. It requests only the permissions that the app needs.
//!
//! Source: <https://docs.slack.dev/reference/app-manifest>.

use serde_json::{Value, json};

use super::payload::ADD_TO_TIMELINE;
use crate::domain::config::slack_app::SlackApp;

/// The scopes of every app, each with its reason.
pub const SCOPES: &[(&str, &str)] = &[
    ("commands", "`/runbook` and the shortcut \"Add to timeline\""),
    ("chat:write", "to show incidents in channels that it was invited to"),
];

/// The scopes that an app needs.
pub fn scopes(app: Option<&SlackApp>) -> Vec<&'static str> {
    let own_channels = app.is_some_and(|app| app.channel_an_incident).then_some("channels:manage");
    SCOPES.iter().map(|(scope, _)| *scope).chain(own_channels).collect()
}

/// The manifest of an app. `address` is the base address of Slack's HTTP requests; none for Socket Mode.
pub fn of(estate: &str, app: Option<&SlackApp>, address: Option<&str>) -> Value {
    let address = address.map(|address| address.trim_end_matches('/'));
    let at = |path: &str| address.map(|address| format!("{address}{path}"));
    let mut command = json!({
        "command": "/runbook", "description": "Incidents and their runbooks", "usage_hint": "[start | status | answer | approve | retry | skip | undo | cancel | resolve | help …]",
        "should_escape": false,
    });
    let mut interactivity = json!({"is_enabled": true});
    if let (Some(typed), Some(pressed)) = (at("/slack/command"), at("/slack/interactive")) {
        command["url"] = json!(typed);
        interactivity["request_url"] = json!(pressed);
    }
    json!({
        "display_information": {
            "name": "runbook", "description": format!("Incidents of {}", crate::domain::core::text::one_line(estate, 100)),
            "background_color": "#1f2937",
        },
        "features": {
            "bot_user": {"display_name": "runbook", "always_online": false},
            "slash_commands": [command],
            "shortcuts": [{
                "name": "Add to timeline", "type": "message", "callback_id": ADD_TO_TIMELINE,
                "description": "Adds this message to the incident's timeline",
            }],
        },
        "oauth_config": {"scopes": {"bot": scopes(app)}},
        "settings": {
            "interactivity": interactivity, "org_deploy_enabled": false, "socket_mode_enabled": address.is_none(),
            "token_rotation_enabled": false,
        },
    })
}
