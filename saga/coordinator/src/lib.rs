//! The coordinator program: time, wishes and retention of sagas.
