//! The form of the answer.

use serde_json::{Value, json};

use super::Writer;
use crate::anthropic_messages::response::ANSWER_TOOL;
use crate::anthropic_messages::wire;
use crate::conversation::{FunctionTool, JsonSchema, OutputFormat};
use crate::error::CannotSay;
use crate::loss::Change;

impl Writer<'_> {
    pub(super) fn output_format(&mut self) -> Result<(), CannotSay> {
        let format = match &self.request.output_format {
            None | Some(OutputFormat::Text) => return Ok(()),
            Some(_) if self.is_dropped("response_format") => return Ok(()),
            Some(OutputFormat::JsonSchema(JsonSchema { schema: Some(schema), .. })) => schema,
            Some(OutputFormat::JsonObject | OutputFormat::JsonSchema(_)) => {
                self.losses.note(
                    "response_format",
                    Change::Dropped,
                    "Anthropic has no JSON mode without a schema",
                );
                return Ok(());
            }
            Some(OutputFormat::Opaque(_)) => {
                return self.losses.cannot_carry("response_format", "Anthropic knows only `json_schema`");
            }
        };
        let mut schema = format.clone();
        if self.model.takes_output_format() {
            close_objects(&mut schema);
            self.body.output_format = Some(wire::OutputFormat::JsonSchema { schema });
            return Ok(());
        }
        self.losses.note(
            "response_format",
            Change::Changed,
            "the model answers by calling a tool with the schema",
        );
        let answer = FunctionTool {
            name: ANSWER_TOOL.to_owned(),
            parameters: Some(schema),
            ..FunctionTool::default()
        };
        let alone = self.body.tools.is_empty();
        let answer = self.function(&answer);
        self.body.tools.push(answer);
        // Thinking and a forced call exclude each other.
        let kind = match (self.asks_to_think(), alone) {
            (true, _) => "auto",
            (false, true) => "tool",
            (false, false) => "any",
        };
        self.body.tool_choice = Some(wire::ToolChoice {
            kind: kind.to_owned(),
            name: (kind == "tool").then(|| ANSWER_TOOL.to_owned()),
            disable_parallel_tool_use: None,
        });
        Ok(())
    }
}

/// Structured outputs want every object of a schema to say that it has no further properties.
pub(super) fn close_objects(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let is_object = object.get("type").and_then(Value::as_str) == Some("object");
            if is_object && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            for (keyword, value) in object.iter_mut() {
                match keyword.as_str() {
                    // Data, not schemas.
                    "const" | "default" | "enum" | "examples" | "required" => {}
                    // Schemas under names of the author's choice.
                    "properties" | "$defs" | "definitions" => {
                        if let Value::Object(schemas) = value {
                            schemas.values_mut().for_each(close_objects);
                        }
                    }
                    _ => close_objects(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close_objects),
        _ => {}
    }
}
