//! The pure core of the saga engine: definition, record, event, decide.
