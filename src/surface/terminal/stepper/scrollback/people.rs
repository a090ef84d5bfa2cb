//! Lines for messages, roles, severity changes and refused people.

#![deny(clippy::wildcard_enum_match_arm)]

use super::EventContext;
use crate::domain::incident::event::{Event, MessageEvent};
use crate::domain::report::timeline::Sign;
use crate::domain::report::timeline::of_people;
use crate::surface::terminal::widgets::styled_text::{StyledLine, Tone};

pub(super) fn lines(teller: &EventContext<'_>) -> Vec<StyledLine> {
    let Some((sign, text)) = of_people(teller.incident, teller.recorded) else { return Vec::new() };
    match &teller.recorded.event {
        Event::Message(MessageEvent::Notified { delivery, place, .. }) => {
            let place = place.as_ref().filter(|place| **place != delivery.channel);
            let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
            vec![teller.head(Tone::Good, teller.signs.arrow).plain(&text).faint(&place).indent(2)]
        }
        Event::Message(MessageEvent::NotifyFailed { delivery, error, .. }) => {
            teller.one(Tone::Warn, teller.signs.warning, &format!("could not tell {}: {error}", delivery.channel))
        }
        Event::Message(MessageEvent::NoticeOwed { .. } | MessageEvent::Posted(_))
        | Event::Role(_)
        | Event::Incident(_)
        | Event::Alert(_)
        | Event::Deadline(_)
        | Event::Run(_)
        | Event::Step(_) => by_sign(teller, sign, &text),
    }
}

fn by_sign(teller: &EventContext<'_>, sign: Sign, text: &str) -> Vec<StyledLine> {
    if sign == Sign::Failed {
        return teller.one(Tone::Warn, teller.signs.warning, &format!("{}: {text}", teller.who()));
    }
    if sign == Sign::Statement {
        return teller.one(Tone::Accent, teller.signs.person, &format!("{} {text}", teller.who()));
    }
    teller.one(Tone::Accent, teller.signs.arrow, text)
}
