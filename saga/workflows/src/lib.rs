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

use std::sync::Arc;

use saga_core::{Definition, Invalid, Plan};

pub mod order;
pub mod page;

pub use order::{hurried, order};

/// Every saga of the shop.
pub fn all() -> Vec<Definition> {
    vec![order()]
}

/// Every saga of the shop, checked: what a program hands to its host.
///
/// # Errors
/// [`Invalid`] when a definition is wrong, which a test of this crate rules out.
pub fn plans() -> Result<Vec<Arc<Plan>>, Invalid> {
    all().into_iter().map(|definition| Plan::new(definition).map(Arc::new)).collect()
}
