"""Gemini generateContent, as AI Studio serves it: https://ai.google.dev/api/generate-content (read 2026-11-21)."""

from __future__ import annotations

import base64
import binascii
import json
import re

from . import frames, seal
from .mind import Answer, End, Question, Tool, count, pieces, tokens
from .refusal import Refusal, need, without_nulls

PATH = re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<method>generateContent|streamGenerateContent)")
#: The chunk with the finish reason.
CLOSING_FRAMES = 1

MAKER = "gemini"
#: What the documentation offers for histories that another model made.
NO_SIGNATURE = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")

FIELDS = set(
    "contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent labels model serviceTier store".split()
)
CONFIG_FIELDS = set(
    "stopSequences responseMimeType responseSchema responseJsonSchema _responseJsonSchema responseModalities candidateCount "
    "maxOutputTokens temperature topP topK seed presencePenalty frequencyPenalty responseLogprobs logprobs "
    "enableEnhancedCivicAnswers speechConfig thinkingConfig imageConfig mediaResolution".split()
)
PART_FIELDS = set(
    "text inlineData fileData functionCall functionResponse executableCode codeExecutionResult thought thoughtSignature "
    "videoMetadata partMetadata mediaResolution".split()
)
SCHEMA_FIELDS = set(
    "type format title description nullable enum maxItems minItems properties required minProperties maxProperties "
    "minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum".split()
)
FINISH = {End.DONE: "STOP", End.STOP_WORD: "STOP", End.LENGTH: "MAX_TOKENS", End.CALLS: "STOP"}


def sign_in(headers: dict, query: dict) -> str:
    return headers.get("x-goog-api-key") or query.get("key", "")


def camel(name: str) -> str:
    """Protocol buffers take `snake_case` for `camelCase`."""
    head, *rest = name.split("_") if not name.startswith("_") else [name]
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def known(value: object, fields: set, place: str) -> dict:
    """The object with camelCase names, each of which must be known."""
    need(isinstance(value, dict), f"Invalid value at '{place}': an object was expected")
    found = {camel(name): item for name, item in without_nulls(value).items()}
    for name in found:
        at = f" at '{place}'" if place else ""
        need(name in fields, f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')
    return found


def read(body: dict, path: re.Match) -> Question:
    body = known(body, FIELDS, "")
    question = Question(model=path["model"], stream=path["method"] == "streamGenerateContent")
    need(body.get("contents"), "* GenerateContentRequest.contents: contents is not specified\n")
    if "systemInstruction" in body:
        system = known(body["systemInstruction"], {"parts", "role"}, "system_instruction")
        for part in system.get("parts", []):
            question.input_tokens += count(known(part, PART_FIELDS, "system_instruction.parts").get("text", ""))
    read_tools(body, question)
    read_config(body.get("generationConfig", {}), question)
    read_contents(body["contents"], question)
    return question


def read_contents(contents: list, question: Question) -> None:
    need(isinstance(contents, list), "Invalid value at 'contents': a list was expected")
    strict = question.model.startswith("gemini-3")
    last_turn = max((index for index, content in enumerate(contents) if begins_turn(content)), default=0)
    calls: list[str] = []
    for index, content in enumerate(contents):
        spot = f"contents[{index}]"
        content = known(content, {"role", "parts"}, spot)
        role = content.get("role", "user")
        need(role in ("user", "model", "function"), "Please use a valid role: user, model.")
        parts = content.get("parts", [])
        need(parts, f"* GenerateContentRequest.{spot}.parts: contents.parts must not be empty.\n")
        parts = [known(part, PART_FIELDS, f"{spot}.parts[{number}]") for number, part in enumerate(parts)]
        for number, part in enumerate(parts):
            kinds = set(part) & set("text inlineData fileData functionCall functionResponse".split())
            empty = f"* GenerateContentRequest.{spot}.parts[{number}].data: required oneof field 'data' must have one initialized field\n"
            need(len(kinds) == 1 or "thoughtSignature" in part, empty)
        if role == "model":
            need(not calls, "Please ensure that function response turn comes immediately after a function call turn.")
            calls = [part["functionCall"].get("name") for part in parts if "functionCall" in part]
            need(
                not calls or index > 0,
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
            )
            check_signatures(parts, index, question.model if strict and index > last_turn else None)
            question.input_tokens += sum(count(part.get("text", "")) for part in parts)
        else:
            calls = read_user(parts, calls, spot, question)
    need(not calls, "Please ensure that function response turn comes immediately after a function call turn.")


def begins_turn(content: object) -> bool:
    """A user's own words begin a turn; function responses go on with the one that runs."""
    if not isinstance(content, dict) or content.get("role", "user") != "user":
        return False
    return any("text" in part for part in content.get("parts", []) if isinstance(part, dict))


def check_signatures(parts: list[dict], index: int, strict_model: str | None) -> None:
    first = True
    for part in parts:
        signature = part.get("thoughtSignature")
        call = part.get("functionCall")
        if call is not None:
            if first and strict_model is not None:
                need(
                    signature,
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
                    "correctly, and missing thought_signature may lead to degraded model performance. Additional data, "
                    f"function call `default_api:{call.get('name')}` , position {index + 1}.",
                )
            first = False
        if signature is not None and signature not in NO_SIGNATURE:
            genuine = standard(signature) == seal.sign(MAKER, signed(part))
            need(genuine, "Corrupted thought signature.")


def standard(data: str) -> str:
    """Protocol buffers take bytes in either alphabet of base64, with or without padding."""
    text = data.replace("-", "+").replace("_", "/").rstrip("=")
    return text + "=" * (-len(text) % 4)


def signed(part: dict) -> str:
    call = part.get("functionCall")
    if call is None:
        return part.get("text", "")
    return json.dumps([call.get("name"), call.get("args", {})], sort_keys=True)


def read_user(parts: list[dict], calls: list[str], spot: str, question: Question) -> list[str]:
    results, texts = [], []
    for number, part in enumerate(parts):
        place = f"{spot}.parts[{number}]"
        if "functionResponse" in part:
            given = known(
                part["functionResponse"], {"id", "name", "response", "willContinue", "scheduling", "parts"}, place
            )
            need(given.get("name"), f"* GenerateContentRequest.{place}.function_response.name: Name cannot be empty.\n")
            need(
                isinstance(given.get("response"), dict),
                f"Invalid value at '{place}.function_response.response': a Struct was expected",
            )
            results.append(given)
        elif "text" in part:
            texts.append(part["text"])
            question.input_tokens += count(part["text"])
        elif "inlineData" in part:
            question.media.append(read_blob(part["inlineData"], place))
        elif "fileData" in part:
            file = known(part["fileData"], {"mimeType", "fileUri", "displayName"}, place)
            need(file.get("fileUri"), f"* GenerateContentRequest.{place}.file_data.file_uri: must not be empty.\n")
            question.media.append(file.get("mimeType", "file"))
    need(
        len(results) == len(calls),
        "Please ensure that the number of function response parts is equal to the number of function call parts of the "
        "function call turn.",
    )
    unknown = {given["name"] for given in results} - set(calls)
    need(not unknown, f"Function response `{min(unknown, default='')}` has no function call.")
    question.results = [words(given["response"]) for given in results]
    question.input_tokens += sum(count(result) for result in question.results)
    if texts:
        question.text = " ".join(texts)
    if texts and results:
        question.results.extend(texts)
    return []


def words(response: dict) -> str:
    """A tool's answer: by convention under `output` or `result`, an error under `error`."""
    for name in ("output", "result", "content"):
        if set(response) == {name}:
            value = response[name]
            return value if isinstance(value, str) else json.dumps(value)
    if set(response) == {"error"}:
        return f"error: {response['error']}"
    return json.dumps(response)


def read_blob(blob: object, place: str) -> str:
    blob = known(blob, {"mimeType", "data", "displayName"}, f"{place}.inline_data")
    need(blob.get("mimeType"), f"* GenerateContentRequest.{place}.inline_data.mime_type: must not be empty.\n")
    need(blob.get("data"), f"* GenerateContentRequest.{place}.inline_data.data: must not be empty.\n")
    try:
        base64.b64decode(standard(blob["data"]), validate=True)
    except binascii.Error:
        raise Refusal(
            400, f"Invalid value at '{place}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"
        ) from None
    return blob["mimeType"]


def read_tools(body: dict, question: Question) -> None:
    for index, tool in enumerate(body.get("tools", [])):
        names = set(
            "functionDeclarations googleSearch googleSearchRetrieval codeExecution urlContext computerUse fileSearch googleMaps mcpServers".split()
        )
        tool = known(tool, names, f"tools[{index}]")
        for number, function in enumerate(tool.get("functionDeclarations", [])):
            spot = f"tools[{index}].function_declarations[{number}]"
            fields = set(
                "name description behavior parameters parametersJsonSchema response responseJsonSchema".split()
            )
            function = known(function, fields, spot)
            name = function.get("name", "")
            valid = re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}", name)
            need(
                valid,
                f"* GenerateContentRequest.{spot}.name: Invalid function name. Must start with a letter or an underscore.\n",
            )
            need(
                not {"parameters", "parametersJsonSchema"} <= set(function),
                f"{spot}: only one of parameters and parameters_json_schema may be set",
            )
            if "parameters" in function:
                check_schema(function["parameters"], f"{spot}.parameters", top=True)
            question.tools.append(Tool(name, function.get("parameters") or function.get("parametersJsonSchema")))
    config = known(
        body.get("toolConfig", {}),
        {"functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"},
        "tool_config",
    )
    calling = known(
        config.get("functionCallingConfig", {}), {"mode", "allowedFunctionNames"}, "tool_config.function_calling_config"
    )
    mode = calling.get("mode", "AUTO").upper()
    need(
        mode in ("AUTO", "ANY", "NONE", "VALIDATED"),
        f"Invalid value at 'tool_config.function_calling_config.mode', \"{mode}\"",
    )
    allowed = calling.get("allowedFunctionNames", [])
    need(
        not allowed or mode in ("ANY", "VALIDATED"),
        "Allowed function names may only be set when function calling mode is ANY.",
    )
    need(set(allowed) <= {tool.name for tool in question.tools}, "Allowed function names must be declared functions.")
    question.choice = allowed[0] if allowed else {"ANY": "any", "NONE": "none"}.get(mode, "auto")


def check_schema(schema: object, place: str, top: bool = False) -> None:
    """`Schema` is a subset of OpenAPI's: every other keyword is refused."""
    schema = known(schema, SCHEMA_FIELDS, place)
    kind = str(schema.get("type", "")).lower()
    kinds = ("string", "number", "integer", "boolean", "array", "object", "null", "")
    need(
        kind in kinds,
        f"Invalid value at '{place}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), \"{schema.get('type')}\"",
    )
    need(kind != "array" or "items" in schema, f"* GenerateContentRequest.{place}.items: missing field.\n")
    need(
        kind != "object" or top or schema.get("properties"),
        f"* GenerateContentRequest.{place}.properties: should be non-empty for OBJECT type\n",
    )
    need(
        "enum" not in schema or kind == "string",
        f"* GenerateContentRequest.{place}.enum: only allowed for STRING type\n",
    )
    need(
        all(isinstance(value, str) and value for value in schema.get("enum", [])),
        f"Invalid value at '{place}.enum' (TYPE_STRING)",
    )
    for name in schema.get("required", []):
        need(
            name in schema.get("properties", {}),
            f"* GenerateContentRequest.{place}.required[0]: property is not defined\n",
        )
    for name, field in schema.get("properties", {}).items():
        check_schema(field, f"{place}.properties[{name}]")
    if "items" in schema:
        check_schema(schema["items"], f"{place}.items")
    for number, option in enumerate(schema.get("anyOf", [])):
        check_schema(option, f"{place}.any_of[{number}]")


def read_config(config: dict, question: Question) -> None:
    config = known(config, CONFIG_FIELDS, "generation_config")
    for name, low, high in (
        ("temperature", 0, 2),
        ("topP", 0, 1),
        ("maxOutputTokens", 1, 65_536),
        ("candidateCount", 1, 8),
        ("logprobs", 0, 20),
    ):
        value = config.get(name, low)
        need(
            isinstance(value, (int, float)) and low <= value <= high,
            f"* GenerateContentRequest.generation_config.{name}: must be between {low} and {high}\n",
        )
    question.stop = config.get("stopSequences", [])
    need(len(question.stop) <= 5, "* GenerateContentRequest.generation_config.stop_sequences: at most 5 are allowed\n")
    question.max_tokens = config.get("maxOutputTokens")
    question.n = config.get("candidateCount", 1)
    question.logprobs = config.get("responseLogprobs", False)
    need("logprobs" not in config or question.logprobs, "logprobs can only be set when response_logprobs is true.")
    read_thinking(config.get("thinkingConfig", {}), question)
    schema = config.get("responseSchema")
    json_schema = config.get("responseJsonSchema", config.get("_responseJsonSchema"))
    mime = config.get("responseMimeType", "text/plain")
    need(
        mime in ("text/plain", "application/json", "text/x.enum"),
        "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, `application/json`\n",
    )
    if schema is not None:
        check_schema(schema, "generation_config.response_schema", top=True)
    if schema is not None or json_schema is not None:
        need(
            mime != "text/plain",
            "* GenerateContentRequest.generation_config.response_schema: response_mime_type must be application/json\n",
        )
    if mime == "application/json":
        need(
            not question.tools or question.model.startswith("gemini-3"),
            "Function calling with a response mime type: 'application/json' is unsupported",
        )
        question.schema = schema or json_schema or {}


def read_thinking(config: dict, question: Question) -> None:
    config = known(config, {"includeThoughts", "thinkingBudget", "thinkingLevel"}, "generation_config.thinking_config")
    need(
        len({"thinkingBudget", "thinkingLevel"} & set(config)) < 2,
        "You can only set only one of thinking budget and thinking level.",
    )
    if question.model.startswith("gemini-3"):
        question.thinks = True
    else:
        need("thinkingLevel" not in config, "Thinking level is not supported for this model.")
        question.thinks = config.get("thinkingBudget", 0) != 0


def parts(body: dict, question: Question, answer: Answer) -> list[dict]:
    config = {
        camel(name): item
        for name, item in (body.get("generationConfig") or body.get("generation_config") or {}).items()
    }
    thinking = {camel(name): item for name, item in (config.get("thinkingConfig") or {}).items()}
    out: list[dict] = []
    if answer.thought is not None and thinking.get("includeThoughts"):
        out.append({"text": answer.thought, "thought": True})
    if answer.text or not answer.calls:
        out.append({"text": answer.text})
    for call in answer.calls:
        out.append({"functionCall": {"name": call.name, "args": call.arguments}})
    if answer.thought is not None and answer.calls:
        first = next(part for part in out if "functionCall" in part)
        first["thoughtSignature"] = seal.sign(MAKER, signed(first))
    return out


def usage(question: Question, answer: Answer) -> dict:
    text = answer.text_tokens * question.n
    counts = {
        "promptTokenCount": answer.input_tokens,
        "candidatesTokenCount": text,
        "totalTokenCount": answer.input_tokens + text + answer.thought_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input_tokens}],
    }
    if answer.thought is not None:
        counts["thoughtsTokenCount"] = answer.thought_tokens
    return counts


def chunk(question: Question, candidates: list[dict], counts: dict) -> dict:
    return {
        "candidates": candidates,
        "usageMetadata": counts,
        "modelVersion": question.model,
        "responseId": "gemini-upstream1",
    }


def candidate(index: int, found: list[dict], finish: str | None = None) -> dict:
    value: dict = {"content": {"parts": found, "role": "model"}, "index": index}
    if finish:
        value["finishReason"] = finish
    return value


def whole(body: dict, question: Question, answer: Answer) -> dict:
    candidates = []
    for index in range(question.n):
        value = candidate(index, parts(body, question, answer), FINISH[answer.end])
        if question.logprobs:
            chosen = [
                {"token": token, "tokenId": number, "logProbability": -0.5}
                for number, token in enumerate(tokens(answer.text))
            ]
            value |= {"avgLogprobs": -0.5, "logprobsResult": {"chosenCandidates": chosen, "topCandidates": []}}
        candidates.append(value)
    return chunk(question, candidates, usage(question, answer))


def events(body: dict, question: Question, answer: Answer) -> list[bytes]:
    out = []
    counts = usage(question, answer)
    early = {name: counts[name] for name in ("promptTokenCount", "promptTokensDetails")}
    early["totalTokenCount"] = early["promptTokenCount"]
    for index in range(question.n):
        for part in parts(body, question, answer):
            if "text" in part:
                found = [{**part, "text": piece} for piece in pieces(part["text"])]
            else:
                found = [part]
            out.extend(frames.data(chunk(question, [candidate(index, [piece])], early)) for piece in found)
    ends = [candidate(index, [{"text": ""}], FINISH[answer.end]) for index in range(question.n)]
    return [*out, frames.data(chunk(question, ends, counts))]


STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error(refusal: Refusal) -> dict:
    message, status = refusal.message, refusal.status
    details = []
    if refusal.about == "context_window":
        message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
    if refusal.about == "content_filter":
        message = "The prompt was blocked by safety filters."
    if status == 429:
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]
    return {"error": {"code": status, "message": message, "status": STATUS.get(status, "UNKNOWN"), "details": details}}


def error_event(refusal: Refusal) -> bytes:
    return frames.data(error(refusal))
