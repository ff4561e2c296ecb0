//! A walk over the objects of a bucket, with one lister that stays open.

use futures::TryStreamExt;
use jetreel_actors::ports::{Met, PortFuture, Walk};
use jetreel_domain::words::failure::Failure;
use opendal::{Entry, Error, Lister, Operator};

use super::severity::{Doing, failure};
use super::walk::seconds;

/// The `Walk` port on an OpenDAL lister.
pub(super) struct ListerWalk(Lister);

impl ListerWalk {
    /// Begins at the first key with `prefix`.
    pub(super) async fn start(operator: &Operator, prefix: &str) -> Result<Self, Failure> {
        let lister = operator.lister_with(prefix).recursive(true).await;
        Ok(Self(lister.map_err(|error| listing(&error))?))
    }

    async fn next_page(&mut self, limit: usize) -> Result<Vec<Met>, Failure> {
        let mut page = Vec::new();
        while page.len() < limit {
            let Some(entry) = self.0.try_next().await.map_err(|error| listing(&error))? else {
                break;
            };
            if !entry.metadata().is_dir() {
                page.push(met(&entry));
            }
        }
        Ok(page)
    }
}

impl Walk for ListerWalk {
    fn page(&mut self, limit: usize) -> PortFuture<'_, Vec<Met>> {
        Box::pin(self.next_page(limit))
    }

    /// Empty: a bucket has no folders.
    fn unread(&self) -> &[String] {
        &[]
    }
}

fn listing(error: &Error) -> Failure {
    failure(Doing::Writing, error)
}

fn met(entry: &Entry) -> Met {
    let facts = entry.metadata();
    let modified = facts.last_modified().map(|at| seconds(at.into()));
    Met { key: entry.path().to_owned(), bytes: facts.content_length(), modified }
}
