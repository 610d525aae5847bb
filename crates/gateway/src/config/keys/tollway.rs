//! `tollway`: bounds and server behaviour. Every queue, cache, body and wait has its bound here.

use super::Kind::{Any, Bool, Integer, List, MapOrFalse, Number, OneOf, Port, Seconds, Text, TextOrList};
use super::Priority::{P0, P1, P2};
use super::Status::Effective;
use super::{Group, group};

pub(super) const KEYS: &[Group] = &[
    group(Effective, P0, "address to listen on (0.0.0.0); the command line wins", &[("host", Text)]),
    group(Effective, P0, "port to listen on (4000); the command line wins", &[("port", Port)]),
    group(
        Effective,
        P0,
        "bytes of one request body (104857600); a larger one is answered 413",
        &[("max_request_bytes", Integer)],
    ),
    group(
        Effective,
        P1,
        "bytes of a request's head (65536); a larger one is answered 431",
        &[("max_header_bytes", Integer)],
    ),
    group(
        Effective,
        P1,
        "nesting of a JSON body (128); a deeper one is answered 400",
        &[("max_json_depth", Integer)],
    ),
    group(
        Effective,
        P1,
        "bytes of one provider answer that is not streamed (104857600), and of one event of a stream",
        &[("max_response_bytes", Integer)],
    ),
    group(
        Effective,
        P1,
        "bytes of all cached answers, in memory or on disk (268435456); the longest unused are dropped first",
        &[("cache_max_bytes", Integer)],
    ),
    group(
        Effective,
        P1,
        "bytes of one cached answer (1048576); a larger one is not cached",
        &[("cache_max_entry_bytes", Integer)],
    ),
    group(
        Effective,
        P1,
        "client connections at a time (10000); more wait to be accepted",
        &[("max_connections", Integer)],
    ),
    group(
        Effective,
        P1,
        "seconds in which a client must have sent its request (60); a slower one is answered 408",
        &[("client_read_timeout_s", Seconds)],
    ),
    group(
        Effective,
        P1,
        "seconds without a client taking any byte of its answer (60) before its connection is closed",
        &[("client_write_timeout_s", Seconds)],
    ),
    group(
        Effective,
        P1,
        "seconds to connect to a provider, TLS included (10)",
        &[("connect_timeout_s", Seconds)],
    ),
    group(
        Effective,
        P1,
        "seconds that a provider connection may idle before it is closed (90)",
        &[("pool_idle_timeout_s", Seconds)],
    ),
    group(
        Effective,
        P1,
        "seconds that running requests get to end after a stop signal (30); then they are cut",
        &[("shutdown_grace_s", Seconds)],
    ),
    group(
        Effective,
        P1,
        "how many requests `GET /trace/{id}` remembers (1000); 0 turns traces off",
        &[("trace_capacity", Integer)],
    ),
    group(
        Effective,
        P1,
        "whether traces keep message bodies (false); `turn_off_message_logging` wins",
        &[("trace_bodies", Bool)],
    ),
    group(
        Effective,
        P0,
        "`text` or `json` (text; json with `json_logs`)",
        &[("log_format", OneOf(&["text", "json"]))],
    ),
    group(
        Effective,
        P0,
        "least severe level that is logged (info; debug with `set_verbose`)",
        &[("log_level", OneOf(&["error", "warn", "info", "debug", "trace"]))],
    ),
    group(Effective, P1, "whether a changed file is loaded without a restart (true)", &[("watch", Bool)]),
    group(
        Effective,
        P0,
        "folder of the database and the journals (TOLLWAY_DATA, else `tollway-data` beside the configuration)",
        &[("data_folder", Text)],
    ),
    group(
        Effective,
        P1,
        "what to do while the journal's disk is full: `refuse` requests (default), or `serve` them and lose their bookings",
        &[("journal_when_full", OneOf(&["refuse", "serve"]))],
    ),
    group(
        Effective,
        P1,
        "bytes that the log of spend may take (20 GiB); then its oldest days are deleted, their sums stay",
        &[("spend_log_max_bytes", Integer)],
    ),
    group(
        Effective,
        P1,
        "who gets all alerts by e-mail, where `alerting` names `email`",
        &[("alert_emails", TextOrList)],
    ),
    group(
        Effective,
        P1,
        "days before its end that a key's owner is told (7; 0: never), and seconds from one look for such keys to the next (3600)",
        &[("key_expiry_alert_days", Number), ("key_expiry_check_s", Seconds)],
    ),
    group(
        Effective,
        P1,
        "wrong keys that one address (IPv6: one /64) may present at once (100; 0: any number), and then per second (5); beyond it \
         keys that are not known yet are answered 429",
        &[("wrong_keys_burst", Integer), ("wrong_keys_per_s", Number)],
    ),
    group(
        Effective,
        P1,
        "requests under a budget to models without a price: `allow` (default), `refuse`, or the USD to hold for each; a key's or \
         team's `unknown_price` wins",
        &[("unknown_price", Any)],
    ),
    group(
        Effective,
        P1,
        "whether answers are kept as short as what is left of a budget pays for (false); a key's or team's `metadata.budget_fit` wins",
        &[("budget_fit", Bool)],
    ),
    group(
        Effective,
        P1,
        "seconds that a request may wait for room when all deployments are at their limits (0: it fails at once)",
        &[("max_queue_wait_s", Number)],
    ),
    group(
        Effective,
        P1,
        "seconds to the first token of a stream (no limit but the attempt's); then the next deployment is tried",
        &[("first_token_timeout_s", Seconds)],
    ),
    group(
        Effective,
        P1,
        "seconds between two tokens of a stream (no limit but the attempt's)",
        &[("inter_token_timeout_s", Seconds)],
    ),
    group(
        Effective,
        P1,
        "calls beyond the clients' own that retries, fallbacks and hedges may cause in a minute; `false`: any number",
        &[("retry_budget", MapOrFalse)],
    ),
    group(
        Effective,
        P2,
        "a second attempt elsewhere for requests that are slower than the group's p95 (off)",
        &[("hedge", MapOrFalse)],
    ),
    group(
        Effective,
        P2,
        "shares of a group's traffic that another group answers: `- {model: a, to: b, percent: 5}`",
        &[("canary", List)],
    ),
    group(
        Effective,
        P2,
        "shares of a group's traffic that are copied to another group, its answers dropped",
        &[("mirror", List)],
    ),
    group(
        Effective,
        P2,
        "whether the last deployment of a group may be left alone too, although there is nowhere else to go (false)",
        &[("cooldown_last_deployment", Bool)],
    ),
];

pub(super) const RETRY_BUDGET: &[Group] = &[
    group(Effective, P1, "extra calls per hundred client calls (20)", &[("percent", Integer)]),
    group(
        Effective,
        P1,
        "extra calls per minute that are always allowed, so that low traffic can retry (100)",
        &[("floor", Integer)],
    ),
];

pub(super) const HEDGE: &[Group] = &[
    group(Effective, P2, "hedges per hundred calls, at most (5)", &[("max_percent", Integer)]),
    group(Effective, P2, "milliseconds before which there is no hedge (100)", &[("min_delay_ms", Integer)]),
];

pub(super) const SPLIT: &[Group] = &[
    group(Effective, P2, "the group that callers name", &[("model", Text)]),
    group(Effective, P2, "the group that gets the share", &[("to", Text)]),
    group(Effective, P2, "how much of it, 0 to 100", &[("percent", Number)]),
];
