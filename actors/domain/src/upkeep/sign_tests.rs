//! Tests of [`super`]: nodes with one store, and nodes with different stores.

use super::*;
use crate::upkeep::presence::Presence;

/// The id of a start.
fn id(name: char) -> String {
    format!("01939c7e-0000-7000-8000-00000000000{name}")
}

fn word(name: char, at: i64, sequence: u64, presence: Presence) -> Word {
    Word { id: id(name), at, sequence, presence: Presence { node: name.to_string(), ..presence } }
}

fn settled(sign: u64) -> Presence {
    Presence { sign: Some(sign), ..Presence::default() }
}

fn arriving(sign: u64) -> Presence {
    Presence { arriving: true, ..settled(sign) }
}

fn astray(sign: u64) -> Presence {
    Presence { astray: true, ..settled(sign) }
}

fn heard(words: Vec<Word>) -> Heard {
    let mut heard = Heard::default();
    heard.hear(words, &[]);
    heard
}

fn names(signs: &[Sign]) -> String {
    signs.iter().map(|sign| format!("{}{}", sign.node, sign.number)).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_node_that_starts_looks_for_those_that_work_or_came_before_it() {
    let own = || word('f', 1000, 50, arriving(1));
    let old = Presence { sign: None, ..settled(0) };
    for (others, wanted) in [
        (vec![], ""),
        (vec![word('a', 990, 10, settled(7)), word('b', 880, 9, settled(3))], "a7 b3"),
        // Silent for more than two minutes, or of a version without signs.
        (vec![word('a', 879, 8, settled(7)), word('b', 999, 9, old)], ""),
        // Of two that arrive at once the later one gives way.
        (vec![word('a', 1000, 49, arriving(1)), word('b', 1000, 51, arriving(1))], "a1"),
        // Nodes at work decide.
        (vec![word('a', 1000, 49, arriving(1)), word('b', 1000, 51, settled(2))], "b2"),
        (vec![word('a', 1000, 49, astray(5)), word('b', 1000, 51, settled(2))], "b2"),
        (vec![word('a', 1000, 51, astray(5))], "a5"),
    ] {
        let words = others.into_iter().chain([own()]).collect();
        assert_eq!(names(&heard(words).at_start(&id('f'))), wanted);
    }
}

#[test]
fn a_node_at_work_looks_for_others_at_work() {
    let words = vec![
        word('a', 1000, 1, settled(1)),
        word('b', 1000, 2, arriving(1)),
        word('c', 1000, 3, astray(4)),
        word('d', 1000, 4, settled(9)),
    ];
    let heard = heard(words);
    assert_eq!(names(&heard.at_work(&id('a'), false)), "d9");
    assert_eq!(names(&heard.at_work(&id('a'), true)), "c4 d9");
    assert_eq!(names(&heard.at_work(&id('d'), true)), "a1 c4");
    assert_eq!(names(&heard.from_outside()), "a1 d9");
}

#[test]
fn in_a_large_cluster_each_is_looked_for_by_some() {
    let all = (0..100_u64).map(|index| Word {
        id: format!("01939c7e-0000-7000-8000-{index:012}"),
        at: 0,
        sequence: index,
        presence: settled(1),
    });
    let heard = heard(all.collect());
    let mut times = BTreeMap::<String, usize>::new();
    for own in heard.words.keys() {
        let signs = heard.at_work(own, false);
        assert!(signs.len() == LOOKED_FOR_MAX && signs.iter().all(|sign| sign.id != *own));
        signs.into_iter().for_each(|sign| *times.entry(sign.id).or_default() += 1);
    }
    let last = "01939c7e-0000-7000-8000-ffffffffffff";
    assert_eq!(heard.at_start(last).len(), LOOKED_FOR_MAX);
    assert_eq!(times.len(), 100);
    assert!(times.values().all(|times| *times == LOOKED_FOR_MAX), "{times:?}");
}

#[test]
fn a_node_that_left_or_has_no_id_of_ours_is_not_looked_for() {
    let mut forged = word('b', 0, 2, settled(1));
    forged.id = "../raw/x".into();
    let mut heard = heard(vec![word('a', 0, 1, settled(1)), forged]);
    assert_eq!(names(&heard.from_outside()), "a1");
    heard.hear([], &[id('a')]);
    assert_eq!(names(&heard.from_outside()), "");
    heard.hear([word('a', 0, 3, settled(1))], &[]);
    heard.hear([word('c', 121, 4, Presence::default())], &[]);
    assert_eq!(names(&heard.from_outside()), "", "its word is old by the word of another");
}

#[test]
fn a_store_that_fails_once_at_a_start_hides_no_more_than_one_sign() {
    let heard = heard("abc".chars().map(|name| word(name, 0, 1, settled(1))).collect());
    let (wanted, mut finds) = (heard.at_start(&id('f')), Finds::default());
    assert!(finds.around(wanted.clone()).is_none(), "no answer at all");
    assert!(finds.around(Vec::new()).is_some(), "nobody to look for");
    // The store does not answer for c.
    finds.add(&wanted[0], true);
    finds.add(&wanted[1], false);
    let told = |finds: &Finds| {
        let around = finds.around(wanted.clone()).unwrap();
        (around.seen.join(" "), names(&around.missing))
    };
    assert_eq!(told(&finds), ("a".into(), "b1".into()));
    assert_eq!(names(&finds.open(&wanted)), "b1 c1", "a is not asked for again");
    finds.add(&wanted[1], true);
    assert_eq!(told(&finds), ("a b".into(), String::new()));
}

/// Rounds as a node sees them: each a list of others with the number of their sign and whether it is there (`+`, `-`, `?`), before it
/// `~` where that node doubts its store. A round begins with `!` where the own sign is gone, and with `=` where the one that was missing
/// first is back. What follows: `.` it works, `x` it does not.
fn rounds(text: &str) -> String {
    let mut sight = Sight::default();
    let mut told = String::new();
    for round in text.split(',') {
        let round = round.trim();
        sight.own(!round.starts_with('!'));
        if round.starts_with('=') {
            sight.own_again();
        }
        let looks = round.trim_start_matches(['!', '=']).split_ascii_whitespace().map(|look| {
            let (doubted, look) = (look.starts_with('~'), look.trim_start_matches('~'));
            let (name, number) = (look.chars().next().unwrap(), look[1..look.len() - 1].parse());
            let sign = Sign { id: id(name), node: name.into(), number: number.unwrap(), doubted };
            let found = match look.chars().last() {
                Some('+') => Some(true),
                Some('-') => Some(false),
                _ => None,
            };
            (sign, found)
        });
        match sight.round(looks.collect()) {
            Verdict::Works(others) => {
                told.push('.');
                told.push_str(&names(&others));
            }
            Verdict::Estranged(_) => told.push('x'),
        }
        assert!(sight.doubts() || !sight.is_estranged());
    }
    told
}

#[test]
fn a_node_works_as_long_as_it_sees_more_than_it_misses() {
    for (seen, follows) in [
        ("b1+, b2+, b3+", "..."),
        ("b1-, b1-, b1-", "..x"),
        ("b1-, b2-", ".x"),
        ("b1-, b2+, b3-, b4+", "...."),
        ("b1-, , b2-", "..."),
        // A store that does not answer says nothing of whose it is, and nothing against what is known.
        ("b1?, b2?, b3?, b4?", "...."),
        ("b1-, b1?, b1-, b1?, b1-", "....x"),
        // Two against one: whoever is alone is wrong, and the others say so once.
        ("b1+ c1-, b2+ c2-, b3+ c3-", "..c2."),
        ("b1- c1-, b2- c2-", ".x"),
        ("b1+ c1- d1-, b2+ c2- d2-", ".x"),
        ("b1+ c1- d1+, b2+ c2- d2+", "..c2"),
    ] {
        assert_eq!(rounds(seen), follows, "{seen}");
    }
}

#[test]
fn a_node_works_again_when_it_finds_the_others() {
    for (seen, follows) in [
        ("b1-, b2-, b3-, b4+", ".xx."),
        ("b1-, b2-, b3?, b3+", ".xx."),
        // The other one was stopped, and its own sign was always there.
        ("b1-, b2-, ", ".x."),
        // Most are still missing.
        ("b1- c1-, b2- c2-, b3+ c3-, b4+ c4+", ".xx."),
    ] {
        assert_eq!(rounds(seen), follows, "{seen}");
    }
}

#[test]
fn a_node_works_again_when_it_finds_those_at_work() {
    for (seen, follows) in [
        // c doubts its own store and stays away.
        ("b1- c1-, b2- c2-, b3+ ~c2-, b4+", ".x.."),
        ("b1+ c1+, !b2- c2-, b3+ ~c2-, b4+", ".x.."),
        ("b1- c1-, b2- c2-, b3+ ~c2?, b4+ ~c2-", ".xx."),
        // Those at work must be there, all of them, and no fewer than those that are away.
        ("b1- c1-, b2- c2-, ~b3+ ~c2-", ".xx"),
        ("b1- c1-, b2- c2-, b3+ c2- d1+", ".xx"),
        ("b1- c1- d1-, b2- c2- d2-, b3+ ~c2- ~d2-, b4+ ~c2- ~d3+", ".xx."),
    ] {
        assert_eq!(rounds(seen), follows, "{seen}");
    }
}

#[test]
fn a_node_whose_others_left_works_again_when_its_own_sign_is_back() {
    for (seen, follows) in [
        ("b1+, !b2-, , = , b3+", ".xx.."),
        // Others that are missing still count.
        ("b1+, !b2-, =b3-, = ", ".xx."),
        ("b1+, !b2-, !, !", ".xxx"),
    ] {
        assert_eq!(rounds(seen), follows, "{seen}");
    }
}

#[test]
fn a_node_whose_own_sign_is_gone_takes_no_work_at_once_if_others_are_missing() {
    for (seen, follows) in [
        ("b1+ c1+, !b2- c2-, b3- c3-, b4+ c4+", ".xx."),
        ("b1+ c1+, !b2- c2+, b3- c3+, b4+ c4+", ".xx."),
        // That the others went says nothing.
        ("b1+, !b2-, , b3+", ".xx."),
        // Somebody cleared the folder: all write new signs, and all see them in the next round.
        ("b1+ c1+, !b1- c2+, b2+ c2+", ".x."),
        ("b1+, !b2+, b3+", "..."),
        // Alone there is nobody to miss.
        (", !, , b1+", "...."),
        (", !, b1-, b1-, b1-", "....x"),
    ] {
        assert_eq!(rounds(seen), follows, "{seen}");
    }
}

#[test]
fn a_node_says_that_others_are_not_to_judge_by_it_as_soon_as_its_sign_is_gone() {
    let mut sight = Sight::default();
    sight.own(true);
    assert!(!sight.doubts());
    sight.own(false);
    assert!(sight.doubts() && !sight.is_estranged());
    assert_eq!(sight.round(Vec::new()), Verdict::Works(Vec::new()));
    assert!(!sight.doubts());
}

#[test]
fn a_sign_stays_until_two_newer_ones_were_told() {
    let spare = |kept: &Kept| kept.spare().collect::<Vec<_>>();
    let mut kept = Kept::from(1);
    kept.write(2);
    assert!(kept.is_told(1) && !kept.is_told(2));
    assert!(spare(&kept).is_empty(), "the report still names 1");
    kept.tell(2);
    assert!(spare(&kept).is_empty(), "others may have read the report that names 1");
    // The writes of 3 and 4 failed.
    [3, 4].into_iter().for_each(|number| kept.write(number));
    kept.tell(2);
    assert!(spare(&kept).is_empty());
    kept.write(5);
    assert!(spare(&kept).is_empty(), "no report with 5 got through");
    kept.tell(5);
    assert_eq!(spare(&kept), [1, 3, 4], "what was written and never told goes too");
    kept.remove(1);
    assert_eq!(spare(&kept), [3, 4]);
    kept.write(6);
    kept.tell(6);
    assert_eq!(spare(&kept), [2, 3, 4]);
}

#[test]
fn what_is_wrong_is_told_with_names_and_what_to_do() {
    let sign = Sign::of(&word('b', 0, 1, settled(12))).unwrap();
    assert_eq!(sign.key(), format!("nodes/{}/12", id('b')));
    let cases = [
        (sign.refusal(), "store-not-shared", "two minutes"),
        (sign.estranged(), "store-not-shared", "Mount the right disk"),
        (sign.astray(), "store-elsewhere", "Stop it"),
    ];
    for (failure, code, advice) in cases {
        assert_eq!(failure.code, code);
        for words in ["node b", &sign.key(), advice] {
            assert!(failure.message.contains(words), "{words}: {failure}");
        }
        assert_eq!(crate::words::sentence::check(&failure.message), Ok(()));
    }
    let long = Presence { node: "n\n".repeat(500), ..settled(1) };
    let mut named = word('b', 0, 1, settled(1));
    named.presence = long;
    assert_eq!(Sign::of(&named).unwrap().node.len(), NAME_MAX);
}
