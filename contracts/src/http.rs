//! The resources of the HTTP API, the same between the services and at the gateway.

pub mod notification;
pub mod order;
pub mod page;
pub mod payment;
pub mod product;
pub mod stock;
