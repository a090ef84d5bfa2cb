-- Format 1. Never edited: a later format is a further file. The text of every statement is compared at opening.

-- Where each stream stands; `seal` is a checksum over the row.
CREATE TABLE streams (
  incident TEXT PRIMARY KEY NOT NULL,
  seq INTEGER NOT NULL,
  opened_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  head BLOB NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The events; `hash` covers the row and the hash before it.
CREATE TABLE events (
  incident TEXT NOT NULL REFERENCES streams (incident),
  seq INTEGER NOT NULL,
  at TEXT NOT NULL,
  body TEXT NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (incident, seq)
) STRICT, WITHOUT ROWID;

-- Who works on which incident; `seal` is a checksum over the row.
CREATE TABLE claims (
  incident TEXT PRIMARY KEY NOT NULL,
  holder TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  expires_at TEXT NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT raise(ABORT, 'the log is append-only'); END;

CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN SELECT raise(ABORT, 'the log is append-only'); END;

PRAGMA user_version = 1;
