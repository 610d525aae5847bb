//! Budgets that only those draw on who are served by a deployment: its provider's, and its own.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ledger::Claims;
use ledger::rules::account::{Account, Scope};
use ledger::rules::budget::{Budget, Terms};
use ledger::rules::id::{DeploymentId, ProviderName};
use ledger::rules::zone::Zone;

/// The accounts of one deployment that have a budget.
#[derive(Debug)]
pub struct ServedBudgets {
    pub accounts: Vec<(Account, Terms)>,
    /// Claims on them, once somebody has needed them.
    pub claims: OnceLock<Claims>,
}

/// The budgets of the configuration that concern deployments.
#[derive(Clone, Debug, Default)]
pub(super) struct BudgetSettings {
    pub(super) providers: BTreeMap<ProviderName, Budget>,
    pub(super) zone: Zone,
}

impl BudgetSettings {
    /// `None`: nothing bounds what the deployment may cost.
    pub(super) fn of(&self, provider: &str, id: &str, own: Option<&Budget>) -> Option<Box<ServedBudgets>> {
        let name = ProviderName::new(provider).ok()?;
        let of_provider = self.providers.get(&name).map(|budget| (Scope::Provider(name.clone()), budget));
        let own = own.and_then(|budget| Some((Scope::Deployment(DeploymentId::new(id).ok()?), budget)));
        let terms = |(scope, budget): (Scope, &Budget)| {
            let terms = Terms { budgets: vec![budget.clone()], zone: self.zone.clone(), ..Terms::default() };
            (Account::of(scope), terms)
        };
        let accounts: Vec<_> = of_provider.into_iter().chain(own).map(terms).collect();
        (!accounts.is_empty()).then(|| Box::new(ServedBudgets { accounts, claims: OnceLock::new() }))
    }
}
