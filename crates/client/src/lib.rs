//! One client for every provider of language models: what a gateway or an application needs to ask any
//! deployment in any dialect and to read the answer in any other.

pub mod answer;
pub mod ask;
mod defaults;
pub mod deployment;
pub mod remote_media;
pub mod secret;
mod service;
pub mod sign_in;
pub mod transport;

pub use deployment::Deployment;
pub use secret::Secret;
