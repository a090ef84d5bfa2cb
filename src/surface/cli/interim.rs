//! Interim.
use crate::domain::event::Actor;
use crate::domain::id::IncidentId;
use crate::domain::timeline::Timeline;
use crate::engine::{Engine, EngineError, Patience, Stop};
use tokio_util::sync::CancellationToken;
pub struct Options {
    pub actor: Actor,
    pub after: u64,
    pub patience: Patience,
}
pub enum Left {
    Over,
    Detached,
    NeedsPerson,
    Taken,
}
pub async fn step(engine: &Engine, id: &IncidentId, options: Options) -> Result<Left, EngineError> {
    plain(engine, id, options).await
}
pub async fn plain(engine: &Engine, id: &IncidentId, options: Options) -> Result<Left, EngineError> {
    let _ = &options.actor;
    let token = CancellationToken::new();
    let stop = engine.drive(id, options.patience, &token).await?;
    for entry in Timeline::of(&engine.log(id).await?).entries.iter().filter(|entry| entry.seq > options.after) {
        eprintln!("{}", entry.text);
    }
    Ok(match stop {
        Stop::Over => Left::Over,
        Stop::NeedsPerson => Left::NeedsPerson,
        Stop::Taken(_) => Left::Taken,
        Stop::Detached => Left::Detached,
    })
}
