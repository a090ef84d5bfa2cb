//! Lines for messages, roles, changes of severity, and refused commands.

#![deny(clippy::wildcard_enum_match_arm)]

use super::EventContext;
use crate::domain::incident::event::{Event, MessageEvent};
use crate::domain::report::timeline::Sign;
use crate::domain::report::timeline::of_people;
use crate::surface::terminal::widgets::styled_text::{StyledLine, Tone};

pub(super) fn lines(context: &EventContext<'_>) -> Vec<StyledLine> {
    let Some((sign, text)) = of_people(context.incident, context.recorded) else { return Vec::new() };
    match &context.recorded.event {
        Event::Message(MessageEvent::Notified { delivery, place, .. }) => {
            let place = place.as_ref().filter(|place| **place != delivery.channel);
            let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
            vec![context.head(Tone::Good, context.signs.arrow).plain(&text).faint(&place).indent(2)]
        }
        Event::Message(MessageEvent::NotifyFailed { delivery, error, .. }) => context.simple_line(
            Tone::Warn,
            context.signs.warning,
            &format!("message to {} failed: {error}", delivery.channel),
        ),
        Event::Message(MessageEvent::NoticeOwed { .. } | MessageEvent::Posted(_))
        | Event::Role(_)
        | Event::Incident(_)
        | Event::Alert(_)
        | Event::Deadline(_)
        | Event::Run(_)
        | Event::Step(_) => by_sign(context, sign, &text),
    }
}

fn by_sign(context: &EventContext<'_>, sign: Sign, text: &str) -> Vec<StyledLine> {
    if sign == Sign::Failed {
        return context.simple_line(Tone::Warn, context.signs.warning, &format!("{}: {text}", context.who()));
    }
    if sign == Sign::Statement {
        return context.simple_line(Tone::Accent, context.signs.person, &format!("{} {text}", context.who()));
    }
    context.simple_line(Tone::Accent, context.signs.arrow, text)
}
