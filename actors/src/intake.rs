//! Decodes bodies of messages and checks them against the subject they were found on.

use jetreel_domain::delivery::deadletter::DeadLetter;
use jetreel_domain::delivery::intake::{Body, Peek};
use jetreel_domain::delivery::message::{EncodeTask, Evaluate, Uploaded};
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::delivery::subject;
use jetreel_domain::order::document;
use jetreel_domain::words::failure::Failure;

/// A body that the stage does not process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A newer program wrote the body in a form that only a newer program decodes.
    Newer(Failure),
    /// The body has no known form.
    Unreadable(Failure),
    /// The body contradicts its subject. A newer program could not process it either.
    Contradicting(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Newer(failure)
            | Refused::Unreadable(failure)
            | Refused::Contradicting(failure) => failure,
        }
    }
}

/// Decodes a body that was found on `subject`.
///
/// # Errors
/// The body has another form, or contradicts its subject.
pub fn read<B: Body>(subject: &str, bytes: &[u8]) -> Result<B, Refused> {
    let body: B = rmp_serde::from_slice(bytes).map_err(|error| unread::<B>(bytes, &error))?;
    match body.agrees(subject) {
        Ok(()) => Ok(body),
        Err(contradiction) => Err(Refused::Contradicting(B::refused(&contradiction))),
    }
}

fn unread<B: Body>(bytes: &[u8], error: &rmp_serde::decode::Error) -> Refused {
    match rmp_serde::from_slice::<Peek>(bytes) {
        Ok(Peek { v }) if v > B::VERSION => {
            Refused::Newer(document::newer().with_detail(format_args!("version {v}: {error}")))
        }
        Ok(_) | Err(_) => {
            let message = "The message cannot be decoded.";
            Refused::Unreadable(Failure::permanent("bad-message", message).with_detail(error))
        }
    }
}

/// Checks before a replay that a letter's body belongs on its original subject. A body that cannot be decoded passes: it names no other
/// order.
///
/// # Errors
/// The body contradicts its subject.
pub(crate) fn letter(letter: &DeadLetter) -> Result<(), Failure> {
    let (subject, body) = (letter.subject.as_str(), letter.body.as_slice());
    let read = match subject::stage(subject) {
        Some(Stage::Ingest) => read::<Uploaded>(subject, body).map(drop),
        Some(Stage::Encode) => read::<EncodeTask>(subject, body).map(drop),
        Some(Stage::Publish) => read::<Evaluate>(subject, body).map(drop),
        None => Ok(()),
    };
    match read {
        Ok(()) | Err(Refused::Newer(_) | Refused::Unreadable(_)) => Ok(()),
        Err(Refused::Contradicting(failure)) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use jetreel_domain::id::{OrderId, VideoId};
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct OfTomorrow<'a> {
        v: u32,
        order: &'a str,
    }

    fn order(bits: u128) -> OrderId {
        OrderId::new(VideoId::from_bits(bits), 1)
    }

    fn encoded(body: &impl Serialize) -> Vec<u8> {
        rmp_serde::to_vec_named(body).unwrap()
    }

    #[test]
    fn a_body_is_read_or_refused_for_what_it_is() {
        let subject = subject::publish(&order(1));
        let evaluate = |v, bits| encoded(&Evaluate { v, order: order(bits) });
        let read = |bytes: &[u8]| read::<Evaluate>(&subject, bytes);
        assert!(read(&evaluate(1, 1)).is_ok());
        assert!(read(&evaluate(99, 1)).is_ok(), "what can be read is");
        let contradicting = |v| match read(&evaluate(v, 2)) {
            Err(Refused::Contradicting(failure)) => failure.code,
            other => panic!("{other:?}"),
        };
        for v in [1, 99] {
            assert_eq!(contradicting(v), "message-contradicts");
        }
        let tomorrow = |v| encoded(&OfTomorrow { v, order: "1-of-tomorrow" });
        assert!(matches!(read(&tomorrow(2)), Err(Refused::Newer(_))));
        assert!(matches!(read(&tomorrow(1)), Err(Refused::Unreadable(_))));
        assert!(matches!(read(b"\xff"), Err(Refused::Unreadable(_))));
    }

    #[test]
    fn a_letter_goes_back_only_where_it_belongs() {
        let body = |bits| encoded(&Evaluate { v: 1, order: order(bits) });
        let letter =
            |bytes| letter(&DeadLetter::from_parts(subject::publish(&order(1)), bytes, Vec::new()));
        assert_eq!(letter(body(1)), Ok(()));
        assert_eq!(letter(b"garbage".to_vec()), Ok(()), "it dies again");
        assert_eq!(letter(body(2)).unwrap_err().code, "message-contradicts");
    }
}
