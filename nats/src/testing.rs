//! A NATS server for tests: one per test binary, an account of its own for each test.
//!
//! ```no_run
//! # async fn test() {
//! let account = jetsaga_nats::testing::broker().await.account();
//! let jetstream = account.jetstream().await;
//! // Streams of any name, seen by nobody else.
//! # }
//! ```
//!
//! The names of streams and subjects are fixed by the protocol, so what keeps tests apart is the
//! account: accounts see nothing of each other, and what is in one is deleted when its test is over.
//!
//! The server runs in a container (image `nats`, tag
//! [`Version::PINNED`](crate::launcher::Version::PINNED)); where no container engine answers, it is
//! a process by the [launcher](crate::launcher), and stderr says so once. Under `CI=true` that is a
//! failure, unless it is asked for: `JETSAGA_TEST_NATS` is `process` or `container` to insist, or
//! `cluster` for three servers that are a cluster, in containers where an engine answers, or
//! `lagging` for three processes whose replicas are behind, so that what reads from any of them is
//! found; [`replicas`] says how many replicas the streams of a test can have, so that the same tests
//! run on all of them.
//!
//! The server ends with the test process. A static is never dropped, and a killed process drops
//! nothing at all, so it is not left to destructors: a shell reads a pipe that this process holds,
//! and removes container or directory when the pipe ends.
//!
//! A test that kills or stops the server takes one of its own: [`own_server`], or three
//! that are a cluster: [`own_cluster`], or [`lagging_cluster`] where a replica is to be behind.

mod accounts;
mod broker;
mod cluster;
mod container;
mod lease;
mod own;
mod reaper;

pub use accounts::Account;
pub use broker::{Broker, broker};
pub use cluster::{
    LaggingCluster, OwnCluster, lagging_cluster, own_cluster, own_cluster_of_processes, replicas,
};
pub use own::{OwnServer, own_server, own_server_with};
