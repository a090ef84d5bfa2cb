//! The names that a runbook's expressions may use.

/// The names at the top of the scope with their meanings, for the checker and the reference.
pub const NAMES: &[(&str, &str)] = &[
    ("params", "The run's parameters by name."),
    ("environment", "The environment: `name`, `branch`, `domain`, `repository`, `vars` and its other keys."),
    ("estate", "The whole estate; `estate.estate` is its name."),
    ("services", "The services by name, with `unit`, `port`, `health` and their other keys."),
    ("datastores", "The datastores by name."),
    ("steps", "Earlier steps by id: their outputs, and `status`, `answer`, `summary`, `error`, `output`, `items`."),
    ("item", "The current item of a `for_each`."),
    ("incident", "The incident: `id`, `title`, `severity`, `environment`, `opened_at`, `opened_by`."),
    ("run", "The run: `number`, `runbook`, `mode`."),
];

/// The fields that every step has besides the outputs of its kind. No output has one of these names.
pub const STEP_FIELDS: [&str; 6] = ["status", "answer", "summary", "error", "output", "items"];
