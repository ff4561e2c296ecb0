//! Classifies OpenDAL's errors as failures.

use std::error::Error as _;
use std::io;

use jetreel_domain::words::failure::Failure;
use opendal::{Error, ErrorKind};

/// Kind of the operation. A missing object means different things to a reader and a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Reading an object or its size.
    Reading,
    /// Writing or removing an object.
    Writing,
}

/// The failure for an error of the store.
pub(super) fn failure(doing: Doing, error: &Error) -> Failure {
    kind_failure(doing, error.kind(), is_full(error)).with_detail(error)
}

/// File system errors with a meaning of their own.
const FILE_ERRORS: [(io::ErrorKind, ErrorKind); 5] = [
    (io::ErrorKind::AlreadyExists, ErrorKind::AlreadyExists),
    (io::ErrorKind::IsADirectory, ErrorKind::IsADirectory),
    (io::ErrorKind::NotADirectory, ErrorKind::NotADirectory),
    (io::ErrorKind::PermissionDenied, ErrorKind::PermissionDenied),
    (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied),
];

/// The failure for an error of the file system below an `fs` store.
pub(super) fn io_failure(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::InvalidInput {
        return bad_key().with_detail(error);
    }
    // The type may grow. An unknown error counts as an outage.
    let known = FILE_ERRORS.into_iter().find(|(found, _)| *found == error.kind());
    let kind = known.map_or(ErrorKind::Unexpected, |(_, kind)| kind);
    kind_failure(Doing::Writing, kind, is_full_kind(error.kind())).with_detail(error)
}

/// The failure for a folder that cannot be opened as a store.
pub(super) fn unusable(root: &str, error: &io::Error) -> Failure {
    let message = format!(
        "The storage folder {root} cannot be used. Choose another with --data or store.root, or allow writing there."
    );
    Failure { message, ..io_failure(error) }
}

fn bad_key() -> Failure {
    Failure::task("object-key", "An object cannot be stored under this key.")
}

/// The failure for an object of which an unknown number of bytes was written.
pub(super) fn broken() -> Failure {
    Failure::dependency("storage-failed", "An object could not be written completely.")
}

/// The failure for a file system that does not answer.
pub(super) fn timed_out() -> Failure {
    Failure::dependency("storage-failed", "The storage did not answer in time.")
}

/// The failure for an object that a document names and that does not exist.
pub(super) fn missing() -> Failure {
    Failure::task("object-missing", "An object that this task needs is not in the store.")
}

/// The failure for a store that is not the one that was opened: its disk was unmounted or emptied.
pub(super) fn gone() -> Failure {
    Failure::dependency("storage-gone", "The storage directory lost its content. Mount it again.")
}

/// The failure for a key that exists already.
pub(super) fn conflict() -> Failure {
    Failure::task("object-conflict", "Another object is already stored under this name.")
}

/// A folder where an object is read, or a file where the folder of one is looked for.
fn no_object() -> Failure {
    let message =
        "What the store has under this name is not an object. Look at it, and move it away.";
    Failure { message: message.to_owned(), ..conflict() }
}

fn kind_failure(doing: Doing, kind: ErrorKind, full: bool) -> Failure {
    match kind {
        _ if full => Failure::dependency("storage-full", "The storage is full."),
        ErrorKind::NotFound if doing == Doing::Reading => missing(),
        ErrorKind::RangeNotSatisfied => {
            Failure::task("object-short", "An object is shorter than was recorded.")
        }
        ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::IsSameFile
        | ErrorKind::ConditionNotMatch => match doing {
            Doing::Reading => no_object(),
            Doing::Writing => conflict(),
        },
        ErrorKind::PermissionDenied | ErrorKind::ConfigInvalid | ErrorKind::Unsupported => {
            Failure::dependency("storage-denied", "The storage refuses access. Check its settings.")
        }
        ErrorKind::RateLimited => Failure::dependency(
            "storage-busy",
            "The storage is overloaded and asks for fewer requests.",
        ),
        // NotFound on a write means that the bucket or the root directory is missing. The type may grow. An unknown error counts as an
        // outage, which charges no attempt.
        ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Unexpected | _ => {
            Failure::dependency("storage-failed", "The storage failed.")
        }
    }
}

fn is_full(error: &Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| is_full_kind(error.kind()))
    })
}

fn is_full_kind(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use jetreel_domain::words::failure::Severity;

    use super::*;

    #[test]
    fn every_kind_of_error_has_its_severity() {
        use Severity::{DependencyFault, TaskFault};
        for (kind, severity, code) in [
            (ErrorKind::NotFound, TaskFault, "object-missing"),
            (ErrorKind::RangeNotSatisfied, TaskFault, "object-short"),
            (ErrorKind::IsADirectory, TaskFault, "object-conflict"),
            (ErrorKind::NotADirectory, TaskFault, "object-conflict"),
            (ErrorKind::AlreadyExists, TaskFault, "object-conflict"),
            (ErrorKind::IsSameFile, TaskFault, "object-conflict"),
            (ErrorKind::ConditionNotMatch, TaskFault, "object-conflict"),
            (ErrorKind::PermissionDenied, DependencyFault, "storage-denied"),
            (ErrorKind::ConfigInvalid, DependencyFault, "storage-denied"),
            (ErrorKind::Unsupported, DependencyFault, "storage-denied"),
            (ErrorKind::RateLimited, DependencyFault, "storage-busy"),
            (ErrorKind::Conflict, DependencyFault, "storage-failed"),
            (ErrorKind::Unexpected, DependencyFault, "storage-failed"),
        ] {
            let failure = failure(Doing::Reading, &Error::new(kind, "x"));
            assert_eq!((failure.severity, failure.code.as_str()), (severity, code), "{kind:?}");
        }
    }

    #[test]
    fn a_read_says_nothing_about_another_object() {
        let error = Error::new(ErrorKind::IsADirectory, "x");
        let [read, written] = [Doing::Reading, Doing::Writing].map(|doing| failure(doing, &error));
        assert_eq!(
            (read.code.as_str(), written.code.as_str()),
            ("object-conflict", "object-conflict")
        );
        assert!(read.message.contains("not an object"), "{}", read.message);
        assert!(written.message.contains("already stored"), "{}", written.message);
    }

    #[test]
    fn errors_of_a_file_system_are_told_apart() {
        use io::ErrorKind::{
            AlreadyExists, InvalidInput, NotADirectory, NotFound, Other, PermissionDenied,
            ReadOnlyFilesystem, StorageFull,
        };
        for (kind, code) in [
            (AlreadyExists, "object-conflict"),
            (NotADirectory, "object-conflict"),
            (PermissionDenied, "storage-denied"),
            (ReadOnlyFilesystem, "storage-denied"),
            (InvalidInput, "object-key"),
            (StorageFull, "storage-full"),
            (NotFound, "storage-failed"),
            (Other, "storage-failed"),
        ] {
            assert_eq!(io_failure(&io::Error::from(kind)).code, code, "{kind:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_opened_is_named() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let failure = unusable("ro/x/media", &denied);
        assert_eq!(failure.code, "storage-denied");
        let named = ["ro/x/media", "--data", "permission denied"];
        let told = failure.told();
        assert!(named.iter().all(|name| told.contains(name)), "{told}");
    }

    #[test]
    fn a_missing_place_to_write_to_is_the_storages_fault() {
        let failure = failure(Doing::Writing, &Error::new(ErrorKind::NotFound, "no bucket"));
        assert_eq!(failure.severity, Severity::DependencyFault);
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = Error::new(ErrorKind::Unexpected, "write").set_source(full);
        let failure = failure(Doing::Writing, &error);
        assert_eq!(
            (failure.severity, failure.code.as_str()),
            (Severity::DependencyFault, "storage-full")
        );
    }
}
