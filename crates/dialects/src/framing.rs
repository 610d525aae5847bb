//! How a stream of bytes is cut into messages. Readers are fed chunks however the network cut them.

pub mod sse;
