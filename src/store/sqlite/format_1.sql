-- Format 1. Never edit a statement after its release; a later format is another file. Opening a log compares the text
-- of every statement.

-- The head of each stream. `number` counts from 1 without gaps. `last` is the place of the last event, `head` its hash.
-- `live` is 1 while work may become due without a further event. `seal` is a checksum over the row. There is no index,
-- because an index has no checksum.
CREATE TABLE streams (
  incident TEXT PRIMARY KEY NOT NULL,
  number INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  last INTEGER NOT NULL,
  opened_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  live INTEGER NOT NULL,
  head BLOB NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The events of all streams in the order of writing, so that a transaction touches few pages. `place` counts from 1
-- without gaps. `before` is the place of the previous event of the same stream, or 0. `hash` covers the event and the
-- previous hash.
CREATE TABLE events (
  place INTEGER PRIMARY KEY NOT NULL,
  stream INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  before INTEGER NOT NULL,
  at TEXT NOT NULL,
  body TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;

-- The lease of each incident; `seal` is a checksum over the row.
CREATE TABLE claims (
  incident TEXT PRIMARY KEY NOT NULL,
  holder TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  expires_at TEXT NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Unique names of incidents. The primary key keeps one firing of an alert from opening two incidents. `seal` is a
-- checksum over the row.
CREATE TABLE keys (
  key TEXT PRIMARY KEY NOT NULL,
  incident TEXT NOT NULL,
  at TEXT NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- For people who read the log with `sqlite3`.
CREATE VIEW log AS
SELECT incident, events.seq, at, body FROM events JOIN streams ON number = stream;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT raise(ABORT, 'the log is append-only'); END;

CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN SELECT raise(ABORT, 'the log is append-only'); END;

PRAGMA user_version = 1;
