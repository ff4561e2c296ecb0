//! Roles of a node, as in the setting `node.roles`.

use std::collections::BTreeSet;
use std::str::FromStr;

use jetreel_domain::delivery::stage::Stage;

/// A role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Serves HTTP.
    Gateway,
    /// Works for a stage.
    Stage(Stage),
    Deadletter,
    /// Repairs from the states.
    Reconciler,
    /// Decides how many nodes the load needs.
    Scaler,
}

/// Former names of roles, which settings may still have.
const FORMER: [(&str, Role); 1] = [("publisher", Role::Stage(Stage::Publish))];

/// Names reserved for future roles. A node with such a role would do nothing for it.
const PLANNED: [&str; 1] = ["fanout"];

impl Role {
    /// All roles in pipeline order.
    pub fn all() -> impl Iterator<Item = Self> {
        let stages = Stage::ALL.into_iter().map(Self::Stage);
        let others = [Self::Deadletter, Self::Reconciler, Self::Scaler];
        [Self::Gateway].into_iter().chain(stages).chain(others)
    }

    /// Name of the role in the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Stage(stage) => stage.as_str(),
            Self::Deadletter => "deadletter",
            Self::Reconciler => "reconciler",
            Self::Scaler => "scaler",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if PLANNED.contains(&word) {
            return Err(format!("the role {word} does not exist yet; leave it out"));
        }
        let former = || FORMER.into_iter().find(|(former, _)| *former == word);
        let found = Self::all().find(|role| role.as_str() == word);
        found.or_else(|| former().map(|(_, role)| role)).ok_or_else(|| {
            let known: Vec<&str> = Self::all().map(Self::as_str).collect();
            format!("{word:?} is not a role; use \"all\", or some of {}", known.join(", "))
        })
    }
}

/// Roles of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// All roles.
    #[must_use]
    pub fn all() -> Self {
        Self(Role::all().collect())
    }

    /// All roles except these.
    #[must_use]
    pub fn all_but(roles: &[Role]) -> Self {
        Self(Role::all().filter(|other| !roles.contains(other)).collect())
    }

    /// Names of the roles.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|role| role.as_str())
    }

    /// Whether `role` is one of them.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether the node works for `stage`.
    #[must_use]
    pub fn works_for(&self, stage: Stage) -> bool {
        self.has(Role::Stage(stage))
    }
}

impl FromStr for Roles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "all" {
            return Ok(Self::all());
        }
        text.split(',').map(|word| word.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_one_word_and_former_words_mean_the_same() {
        for role in Role::all() {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        let roles: Roles = "ingest, publisher".parse().unwrap();
        assert_eq!(roles.words().collect::<Vec<_>>(), ["ingest", "publish"]);
        assert!(roles.works_for(Stage::Publish) && !roles.works_for(Stage::Encode));
    }
}
