//! The log on JetStream.
