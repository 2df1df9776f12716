//! The saga definitions of the shop, as values.
