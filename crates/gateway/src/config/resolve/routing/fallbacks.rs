//! Lists of fallbacks: `- group: [other, {model: another, temperature: 0}]`.

use std::sync::Arc;

use routing::settings::{FallbackRule, Target};

use super::{Place, Reader, Role};
use crate::config::diagnose::{Finding, ProblemKind};
use crate::config::raw::{Node, Pair, Value};
use crate::config::resolve::layers;

impl Reader<'_, '_> {
    /// The entries of a list of fallbacks. Those of a wrong shape have been reported.
    pub(super) fn rules(&mut self, key: &'static str) -> Vec<FallbackRule> {
        let list = self.winner(key).get(key);
        let entries = list.and_then(Node::sequence).unwrap_or_default();
        let mut rules: Vec<FallbackRule> = Vec::new();
        for mapping in entries.iter().filter_map(Node::mapping) {
            let [pair] = mapping.pairs.as_slice() else { continue };
            let group = &pair.key.name;
            if rules.iter().any(|rule| rule.group == *group) {
                let finding = Finding::warning(
                    ProblemKind::Replaced,
                    format!("`{key}` has an entry for `{group}` already; this one does not count"),
                );
                self.diagnosis.report(&pair.key.span, finding.help("put all targets into one entry"));
                continue;
            }
            self.place(key, group, group, Role::Entry, pair.key.span.clone());
            let targets = self.targets(key, pair);
            rules.push(FallbackRule { group: group.clone(), targets });
        }
        rules
    }

    fn targets(&mut self, key: &'static str, pair: &Pair) -> Vec<Target> {
        if pair.value.is_null() {
            return Vec::new();
        }
        let group = &pair.key.name;
        match &pair.value.value {
            Value::Sequence(items) => items.iter().filter_map(|item| self.target(key, group, item)).collect(),
            // LiteLLM would turn to models with one letter each.
            Value::Scalar(_) => {
                let finding = Finding::warning(
                    ProblemKind::Spelling,
                    format!("`{key}` of `{group}` is a string here; it is read as a list of one"),
                );
                self.diagnosis.report(&pair.value.span, finding.expected("a list of model groups"));
                self.target(key, group, &pair.value).into_iter().collect()
            }
            Value::Mapping(_) => {
                let finding = Finding::error(
                    ProblemKind::WrongType,
                    format!("`{key}` of `{group}` takes a list of model groups"),
                );
                let finding = finding.expected("`- group: [other, another]`").found(pair.value.kind());
                self.diagnosis.report(&pair.value.span, finding);
                Vec::new()
            }
        }
    }

    /// A name, or a mapping with a `model` and parameters of the request that are other ones there.
    fn target(&mut self, key: &'static str, group: &str, node: &Node) -> Option<Target> {
        let mut fields = match &node.value {
            Value::Mapping(mapping) => mapping.pairs.iter().collect::<Vec<&Pair>>(),
            Value::Scalar(_) | Value::Sequence(_) => Vec::new(),
        };
        let named = match fields.iter().position(|pair| pair.key.name == "model") {
            Some(at) => &fields.remove(at).value,
            None => node,
        };
        let Some(name) = layers::text(named) else {
            let finding = Finding::error(
                ProblemKind::WrongType,
                format!("an item of `{key}` of `{group}` names no model group"),
            );
            let finding =
                finding.expected("a name, or `{model: name, …}` with parameters").found(named.kind());
            self.diagnosis.report(&named.span, finding);
            return None;
        };
        self.place(key, group, &name, Role::Item, named.span.clone());
        let params = fields.iter().map(|pair| (pair.key.name.clone(), pair.value.to_json())).collect();
        let params = Some(params).filter(|params: &dialects::conversation::Extra| !params.is_empty());
        Some(Target { name: name.into(), params: params.map(Arc::new) })
    }

    fn place(
        &mut self,
        key: &'static str,
        of: &str,
        value: &str,
        role: Role,
        span: crate::config::raw::Span,
    ) {
        self.places.note(Place { setting: key, key, of: of.to_owned(), value: value.to_owned(), role, span });
    }
}
