//! The public REST API of the shop and its OpenAPI document.
