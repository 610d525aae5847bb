//! Who changed what.

use api::moment;
use api::problem::Problem;
use api::query::Paging;
use axum::extract::Path;
use axum::response::Json;
use ledger::rules::time::Day;
use ledger::store::{Change, ChangeFilter};
use serde_json::{Value, json};

use super::Answer;
use super::asker::Asker;

/// LiteLLM's names for what is changed, and ours.
const TABLES: [(&str, &str); 8] = [
    ("LiteLLM_VerificationToken", "key"),
    ("LiteLLM_TeamTable", "team"),
    ("LiteLLM_TeamMembership", "member"),
    ("LiteLLM_UserTable", "user"),
    ("LiteLLM_OrganizationTable", "organization"),
    ("LiteLLM_EndUserTable", "customer"),
    ("LiteLLM_BudgetTable", "budget"),
    ("LiteLLM_TagTable", "tag"),
];

fn row(change: &Change) -> Value {
    let read = |text: &Option<String>| -> Value {
        text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let table =
        TABLES.iter().find(|(_, kind)| *kind == change.kind).map_or(change.kind.as_str(), |(table, _)| table);
    json!({
        "id": change.id,
        "updated_at": moment::iso(change.at),
        "changed_by": change.by,
        "changed_by_api_key": change.by_key.as_deref().unwrap_or("litellm_proxy_master_key"),
        "action": change.action,
        "table_name": table,
        "object_id": change.object,
        "before_value": read(&change.before),
        "updated_values": read(&change.after),
    })
}

pub(super) async fn list(asker: Asker) -> Answer {
    let query = asker.query()?;
    let paging = Paging::of(&query, "page_size", 10)?;
    let text = |name: &str| query.text(name).map(str::to_owned);
    let kind = text("table_name").map(|name| {
        TABLES.iter().find(|(table, _)| *table == name).map_or(name, |(_, kind)| (*kind).to_owned())
    });
    let until = query.moment("end_date").map(|end| {
        // A day ends when the next one begins.
        if end == end.day().start() { Day(end.day().0 + 1).start() } else { end }
    });
    let filter = ChangeFilter {
        id: None,
        kind,
        object: text("object_id"),
        by: text("changed_by"),
        by_key: text("changed_by_api_key"),
        action: text("action"),
        from: query.moment("start_date"),
        until,
    };
    let newest_first = query.text("sort_order") != Some("asc");
    let page = asker.store().audit_log(&filter, newest_first, paging.offset(), paging.size).await?;
    Ok(Json(json!({
        "audit_logs": page.items.iter().map(row).collect::<Vec<_>>(),
        "total": page.total,
        "page": paging.page,
        "page_size": paging.size,
        "total_pages": paging.pages(page.total),
    })))
}

pub(super) async fn one(asker: Asker, Path(id): Path<String>) -> Answer {
    let filter = ChangeFilter { id: Some(id.clone()), ..ChangeFilter::default() };
    let page = asker.store().audit_log(&filter, true, 0, 1).await?;
    match page.items.first() {
        Some(change) => Ok(Json(row(change))),
        None => Err(Problem::not_found("Audit log", "id", &id).into()),
    }
}
