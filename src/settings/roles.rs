//! The roles of a node, as in `node.roles`.

use std::collections::BTreeSet;
use std::str::FromStr;

use jetreel_domain::delivery::stage::Stage;

/// A branch of the supervisor tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// HTTP.
    Gateway,
    /// Work for a stage.
    Stage(Stage),
    /// Dead letters.
    Deadletter,
    /// Repair from state.
    Reconciler,
}

/// Words that roles had before, which settings may still have.
const FORMER: [(&str, Role); 1] = [("publisher", Role::Stage(Stage::Publish))];

/// Roles that are planned: a node that took them would do nothing of the kind.
const PLANNED: [&str; 2] = ["fanout", "scaler"];

impl Role {
    /// All roles in pipeline order.
    pub fn all() -> impl Iterator<Item = Self> {
        let stages = Stage::ALL.into_iter().map(Self::Stage);
        [Self::Gateway].into_iter().chain(stages).chain([Self::Deadletter, Self::Reconciler])
    }

    /// The word in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Stage(stage) => stage.as_str(),
            Self::Deadletter => "deadletter",
            Self::Reconciler => "reconciler",
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

/// What a node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self(Role::all().collect())
    }

    /// Everything but `role`.
    #[must_use]
    pub fn all_but(role: Role) -> Self {
        Self(Role::all().filter(|other| *other != role).collect())
    }

    /// Their words.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|role| role.as_str())
    }

    /// Whether `role` is among them.
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
