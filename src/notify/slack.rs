//! Slack: the Web API with a bot token, or an incoming webhook.
