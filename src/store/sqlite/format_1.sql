-- Format 1. Never edited once it was released: a later format is a further file. The text of every statement is
-- compared at opening.

-- Where each stream stands. Numbers are given from 1 without gaps; `last` is the place of its last event and `head` that
-- one's hash; `live` is 1 while something of it may still be owed; `seal` is a checksum over the row. There is no index beside the table, since what an index says has no checksum.
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

-- The events of all streams, one behind the other as they were written, so that a transaction touches few pages however
-- many streams it adds to. Places are given from 1 without gaps; `before` is the place of the event before this one in its
-- stream, and 0 for the first. `hash` covers the event and the hash before it.
CREATE TABLE events (
  place INTEGER PRIMARY KEY NOT NULL,
  stream INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  before INTEGER NOT NULL,
  at TEXT NOT NULL,
  body TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;

-- Who works on which incident; `seal` is a checksum over the row.
CREATE TABLE claims (
  incident TEXT PRIMARY KEY NOT NULL,
  holder TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  expires_at TEXT NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Names that were given to incidents, each of them once: the primary key is what keeps one firing of an alert from
-- becoming two incidents. `seal` is a checksum over the row.
CREATE TABLE keys (
  key TEXT PRIMARY KEY NOT NULL,
  incident TEXT NOT NULL,
  at TEXT NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- For people.
CREATE VIEW log AS
SELECT incident, events.seq, at, body FROM events JOIN streams ON number = stream;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT raise(ABORT, 'the log is append-only'); END;

CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN SELECT raise(ABORT, 'the log is append-only'); END;

PRAGMA user_version = 1;
