//! Explains Slack's error codes, with what to do about each. Unknown codes are reported as they are.
//!
//! The codes are from <https://docs.slack.dev/reference/methods/chat.postMessage> and
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.

use std::time::Duration;

use crate::domain::core::text::one_line;
use crate::notify::Undelivered;
use crate::notify::{permanent, temporary};

/// Codes that are not about the message; another attempt can help.
const TEMPORARY: &[&str] = &[
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "ratelimited",
    "rate_limited",
    "message_limit_exceeded",
    "team_added_to_org",
    "rollup_error",
];

/// Codes and what to do; `{}` stands for the channel.
const HINTS: &[(&[&str], &str)] = &[
    (&["not_in_channel"], "the bot is not in {}; type `/invite @<the bot>` there"),
    (
        &["channel_not_found"],
        "there is no {} that the bot can see; check its name in estate.yaml, and invite the bot when it is private",
    ),
    (&["is_archived", "channel_is_archived"], "{} is archived; name another one in estate.yaml"),
    (
        &["invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"],
        "Slack does not take the bot token; put a new one where estate.yaml says that the secret is found",
    ),
    (
        &["missing_scope", "no_permission", "not_allowed_token_type"],
        "the bot token may not write; give the app the scope `chat:write` and install it again",
    ),
    (
        &["restricted_action", "posting_to_general_channel_denied", "action_prohibited"],
        "the workspace does not let the bot write to {}; ask its owner",
    ),
    (
        &["no_service", "no_service_id", "no_active_hooks", "invalid_token", "no_team", "team_disabled"],
        "the webhook is gone; make a new one and put it where estate.yaml says that the secret is found",
    ),
    (&["msg_too_long", "msg_blocks_too_long", "no_text"], "Slack does not take a message of this length"),
];

/// Explains a code for `channel`. `None` if it is no Slack code, for example a proxy's page.
pub(super) fn explain(code: &str, channel: &str) -> Option<Undelivered> {
    if code.is_empty() || !code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return None;
    }
    let code = one_line(code, 60);
    if TEMPORARY.contains(&code.as_str()) {
        return Some(temporary(format!("Slack returned `{code}`")));
    }
    let hint = HINTS.iter().find(|(codes, _)| codes.contains(&code.as_str()));
    Some(permanent(match hint {
        Some((_, hint)) => format!("Slack returned `{code}`: {}", hint.replace("{}", channel)),
        None => format!("Slack returned `{code}`"),
    }))
}

/// The rate limit is exceeded; `retry_after` is how long Slack asks to wait.
pub(super) fn too_many(retry_after: Option<Duration>) -> Undelivered {
    let when = retry_after.map(|wait| format!("; it asks to wait {} s", wait.as_secs())).unwrap_or_default();
    Undelivered { reason: format!("Slack returned `ratelimited`{when}"), retry_after, permanent: false }
}

/// An HTTP status without a Slack error code.
pub(super) fn status(status: u16) -> Undelivered {
    let reason = format!("Slack did not accept the message (HTTP {status})");
    if status >= 500 { temporary(reason) } else { permanent(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_is_explained_with_what_to_do() {
        let error = explain("not_in_channel", "`#incidents`").unwrap();
        assert!(error.permanent);
        assert!(error.reason.contains("`not_in_channel`") && error.reason.contains("/invite"), "{}", error.reason);
        assert!(!explain("internal_error", "`#incidents`").unwrap().permanent);
    }

    #[test]
    fn a_page_is_no_error_code() {
        assert_eq!(explain("<html>Bad Gateway</html>", "x"), None);
        assert_eq!(explain("", "x"), None);
        assert!(status(502).reason.contains("502") && !status(502).permanent);
    }
}
