//! What every service of the shop shares.
//!
//! - [`host`]: a service is a value; a program hosts one of them, or all.
//! - [`http`]: problem documents, limits, request ids, and the client between services.
//! - [`openapi`]: the published document, made from what poem-openapi says.
//! - [`store`]: a service's own database and barrier. Nothing else in the workspace names SurrealDB.

pub mod host;
pub mod http;
pub mod openapi;
pub mod store;

pub use host::{Context, Running, Service, StartError};
pub use http::Problem;
pub use store::{Statement, Store, Work};
