//! The order service: prices and keeps orders.
