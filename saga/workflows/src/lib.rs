//! The saga definitions of the shop, as values.
//!
//! ```
//! use saga_core::Plan;
//!
//! let plan = Plan::new(saga_workflows::order())?;
//! assert_eq!(plan.name(), "order");
//! assert_eq!(plan.predecessor_names("inventory"), ["payment"]);
//! # Ok::<(), saga_core::Invalid>(())
//! ```
//!
//! A definition is data: the server's consumers, the services' turns, the coordinator's timers and
//! the page under `docs/sagas/` all follow from it.

use saga_core::Definition;

pub mod order;
pub mod page;

pub use order::{hurried, order};

/// Every saga of the shop.
pub fn all() -> Vec<Definition> {
    vec![order()]
}
