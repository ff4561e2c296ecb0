//! A walk over the objects below a folder, by one lister that is kept open: neither `fs` nor memory bears a sorted list.

use std::time::{SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use jetreel_actors::ports::{Met, PortFuture, Walk};
use jetreel_domain::failure::Failure;
use opendal::{Entry, ErrorKind, Lister, Operator};

use super::severity::{Doing, failure};

/// The `Walk` port on an OpenDAL lister.
pub(super) struct OpenDalWalk(Option<Lister>);

impl OpenDalWalk {
    /// Starts below the folder `prefix`; an absent folder has no objects.
    pub(super) async fn start(operator: &Operator, prefix: &str) -> Result<Self, Failure> {
        match operator.lister_with(prefix).recursive(true).await {
            Ok(lister) => Ok(Self(Some(lister))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(failure(Doing::Writing, &error)),
        }
    }

    async fn next_page(&mut self, limit: usize) -> Result<Vec<Met>, Failure> {
        let Some(lister) = &mut self.0 else { return Ok(Vec::new()) };
        let mut page = Vec::new();
        while page.len() < limit {
            match lister.try_next().await {
                Ok(Some(entry)) => page.extend(met(&entry)),
                Ok(None) => {
                    self.0 = None;
                    break;
                }
                // The folder is not there, or was removed meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.0 = None;
                    break;
                }
                Err(error) => return Err(failure(Doing::Writing, &error)),
            }
        }
        Ok(page)
    }
}

impl Walk for OpenDalWalk {
    fn page(&mut self, limit: usize) -> PortFuture<'_, Vec<Met>> {
        Box::pin(self.next_page(limit))
    }
}

fn met(entry: &Entry) -> Option<Met> {
    let facts = entry.metadata();
    let modified = facts.last_modified().map(|at| seconds(at.into()));
    let met = Met { key: entry.path().to_owned(), bytes: facts.content_length(), modified };
    (!facts.is_dir()).then_some(met)
}

fn seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
