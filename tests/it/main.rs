//! The suites that need the whole shop or the whole repository: one binary, a module for each
//! promise.

mod tidy;
