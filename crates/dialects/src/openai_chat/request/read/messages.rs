//! `messages`.

use crate::conversation::{Extra, Message, Part, Role, ToolResult};
use crate::error::Invalid;
use crate::openai_chat::{media, message, wire};

pub(super) fn read(messages: Vec<wire::Message>) -> Result<Vec<Message>, Invalid> {
    // Results of the deprecated `functions` name the function, not the call.
    let mut function_calls: Vec<(String, String)> = Vec::new();
    let mut read = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let path = format!("messages[{index}]");
        let message = read_message(message, index, &mut function_calls);
        read.push(message.map_err(|error| error.under(&path))?);
    }
    Ok(read)
}

fn read_message(
    mut message: wire::Message,
    index: usize,
    function_calls: &mut Vec<(String, String)>,
) -> Result<Message, Invalid> {
    let name = message.name.take();
    let extra = std::mem::take(&mut message.extra);
    let Some(role) = message.role.as_deref() else {
        return Err(Invalid::new("role", "a message needs a `role`"));
    };
    let role = match role {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => {
            message::check_history(&message)?;
            let legacy = message.function_call.as_ref().and_then(|call| call.name.clone());
            let parts = message::read_assistant(message, &format!("m{index}"))?;
            if let (Some(name), Some(Part::ToolCall(call))) = (legacy, parts.last()) {
                function_calls.push((name, call.id.clone()));
            }
            return Ok(Message { role: Role::Assistant, parts, name, extra });
        }
        "tool" | "function" => Role::Tool,
        other => {
            let known = "`system`, `developer`, `user`, `assistant`, `tool` or `function`";
            return Err(Invalid::new("role", format!("unknown role `{other}`; expected {known}")));
        }
    };
    let cache = message.cache_control.as_ref().and_then(media::read_cache);
    let legacy = message.role.as_deref() == Some("function");
    // A deprecated `function` message may say `null`, and an assistant's says nothing beside its calls.
    if message.content.is_none() && !legacy {
        return Err(Invalid::new("content", "the field is required: a string or an array of content parts"));
    }
    let call_id = message.tool_call_id.take();
    let mut parts = message::read_content(message.content)?;
    let mut name = name;
    if role == Role::Tool {
        let call_id = match call_id {
            Some(id) => message::split_id(&id).0,
            None if legacy => {
                let named = |(called, _): &&(String, String)| Some(called) == name.as_ref();
                function_calls.iter().rev().find(named).map(|(_, id)| id.clone()).unwrap_or_default()
            }
            None => return Err(Invalid::new("tool_call_id", "a tool's answer needs the id of the call")),
        };
        parts = vec![Part::ToolResult(ToolResult {
            call_id,
            name: name.take(),
            parts,
            is_error: false,
            cache: None,
            extra: Extra::new(),
        })];
    }
    if let Some(cache) = cache {
        message::mark(&mut parts, cache);
    }
    Ok(Message { role, parts, name, extra })
}
