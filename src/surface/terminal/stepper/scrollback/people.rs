//! The lines for who was told, who was not, who has which role and who was refused.

use super::Teller;
use crate::domain::incident::event::Event;
use crate::domain::report::timeline::{Sign, of_people};
use crate::surface::terminal::widgets::styled_text::{StyledLine, Tone};

pub(super) fn lines(teller: &Teller<'_>) -> Vec<StyledLine> {
    let Some((sign, text)) = of_people(teller.incident, teller.recorded) else { return Vec::new() };
    match &teller.recorded.event {
        Event::Notified { channel, place, .. } => {
            let place = place.as_ref().filter(|place| *place != channel);
            let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
            vec![teller.head(Tone::Good, teller.signs.arrow).plain(&text).faint(&place).indent(2)]
        }
        Event::NotifyFailed { channel, error, .. } => {
            teller.one(Tone::Warn, teller.signs.warning, &format!("could not tell {channel}: {error}"))
        }
        _ if sign == Sign::Failed => teller.one(Tone::Warn, teller.signs.warning, &format!("{}: {text}", teller.who())),
        _ if sign == Sign::Words => teller.one(Tone::Accent, teller.signs.person, &format!("{} {text}", teller.who())),
        _ => teller.one(Tone::Accent, teller.signs.arrow, &text),
    }
}
