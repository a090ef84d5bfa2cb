//! What somebody who comes on duty has to know.
