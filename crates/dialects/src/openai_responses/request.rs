//! Requests: `POST /v1/responses`
//! (<https://platform.openai.com/docs/api-reference/responses/create>).

mod check;
mod input;
mod read;
mod settings;
mod tools;
mod write;

pub(super) use check::check;
pub(super) use read::read;
pub(super) use settings::{text_config, write_reasoning};
pub(super) use tools::{write_choice, write_tools};
pub(super) use write::{report_server_state, split_instructions, write};
