//! The protocol under the model checker: the product keeps its promises, and each way of building
//! it wrongly is found.

#![expect(
    clippy::panic,
    reason = "a test that cannot go on has failed; its helpers are part of it"
)]

mod broken;
mod sound;
