//! The sections of a file, and `credential_list`.

use super::Kind::{List, Map, Text, TextList};
use super::Priority::{P0, P1, P2, P3};
use super::Status::{Effective, NoEffect, NotYet};
use super::{Group, group};

pub(super) const KEYS: &[Group] = &[
    group(
        Effective,
        P0,
        "the deployments: `model_name`, `litellm_params`, `model_info`",
        &[("model_list", List)],
    ),
    group(
        Effective,
        P0,
        "settings of the requests, of the server and of the router",
        &[("litellm_settings", Map), ("general_settings", Map), ("router_settings", Map)],
    ),
    group(
        Effective,
        P1,
        "variables set before the rest of the file is read; they win over the process's own",
        &[("environment_variables", Map)],
    ),
    group(
        Effective,
        P1,
        "files to read as well, beside the file that names them: their lists are appended, their other values replace",
        &[("include", TextList)],
    ),
    group(
        Effective,
        P1,
        "named credentials for `litellm_credential_name`: `credential_name`, `credential_values`, `credential_info`",
        &[("credential_list", List)],
    ),
    group(
        Effective,
        P1,
        "bounds and behaviour of the server that LiteLLM has no key for",
        &[("tollway", Map)],
    ),
    group(NotYet, P1, "options per callback", &[("callback_settings", Map)]),
    group(NotYet, P1, "guardrails", &[("guardrails", List)]),
    group(NotYet, P1, "MCP servers by name", &[("mcp_servers", Map)]),
    group(NoEffect, P3, "tools written in Python, offered over MCP", &[("mcp_tools", List)]),
    group(NotYet, P2, "managed prompts", &[("prompts", List)]),
    group(NotYet, P2, "agents that speak A2A", &[("agents", List), ("agent_list", List)]),
    group(NotYet, P2, "search tools", &[("search_tools", List)]),
    group(NotYet, P3, "code-execution sandboxes", &[("sandbox_tools", List)]),
    group(NotYet, P2, "named vector stores", &[("vector_store_registry", List)]),
    group(NotYet, P2, "provider credentials for `/files`", &[("files_settings", List)]),
    group(NotYet, P2, "provider credentials for `/fine_tuning`", &[("finetune_settings", List)]),
    group(NotYet, P3, "the provider of `/assistants`", &[("assistant_settings", Map)]),
    group(
        NotYet,
        P2,
        "project, location and credentials of the Vertex pass-through",
        &[("default_vertex_config", Map)],
    ),
    group(
        NotYet,
        P3,
        "guardrail policies and where they apply",
        &[("policies", Map), ("policy_attachments", List)],
    ),
    group(NoEffect, P3, "control plane of several LiteLLM proxies", &[("worker_registry", List)]),
];

pub(super) const CREDENTIAL: &[Group] = &[
    group(Effective, P1, "the name that `litellm_credential_name` gives", &[("credential_name", Text)]),
    group(
        Effective,
        P1,
        "`litellm_params` for the deployments that name it; their own win",
        &[("credential_values", Map)],
    ),
    group(Effective, P2, "notes about the credential, shown and not used", &[("credential_info", Map)]),
];
