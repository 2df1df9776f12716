//! The inventory service: stock on hand and allocated.
