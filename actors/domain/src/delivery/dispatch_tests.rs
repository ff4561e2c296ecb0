//! Tests of dispatch: what a backlog and idleness cost, order of queues, limits of slots.

use std::collections::VecDeque;

use super::*;

const NORMAL_MAIN: TaskQueue = TaskQueue::new(Lane::Normal, Group::Main);

fn slots(all: usize) -> Slots {
    Slots { all, ..Slots::default() }
}

/// Queues, the hints about them, and a node that pulls from them. A pull is answered at once.
struct Bench {
    dispatch: Dispatch,
    heard: Heard,
    queues: BTreeMap<TaskQueue, u64>,
    now: Duration,
    /// Queues of the pulls so far.
    pulls: Vec<TaskQueue>,
    /// Tasks in hand, oldest first.
    hand: VecDeque<TaskQueue>,
    /// Whether the tasks were delivered before: the server does not count those behind one.
    again: bool,
}

impl Bench {
    fn new(slots: Slots) -> Self {
        let (queues, now) = (BTreeMap::new(), Duration::ZERO);
        let dispatch = Dispatch::new(slots);
        let (pulls, hand) = (Vec::new(), VecDeque::new());
        Self { dispatch, heard: Heard::default(), queues, now, pulls, hand, again: false }
    }

    /// A node that has found every queue empty.
    fn idle(slots: Slots) -> Self {
        let mut bench = Self::new(slots);
        bench.fill();
        assert_eq!(bench.pulls.len(), TaskQueue::all().count(), "each queue once");
        bench.pulls.clear();
        bench
    }

    fn release(&mut self, lane: Lane, group: Group, tasks: u64) {
        let queue = TaskQueue::new(lane, group);
        *self.queues.entry(queue).or_default() += tasks;
        (0..tasks).for_each(|_| self.heard.note(queue));
    }

    /// Pulls until no slot is free or nothing is worth asking.
    fn fill(&mut self) {
        while let Some(pull) = self.next() {
            self.answer(pull);
        }
    }

    /// The next pull. Where there is none, there is none before the dispatcher wakes.
    fn next(&mut self) -> Option<Pull> {
        let next = self.dispatch.next(self.now, &self.heard);
        let wakes = self.dispatch.wakes();
        assert!(next.is_some() || wakes.is_none_or(|at| at > self.now), "{wakes:?}");
        next
    }

    fn answer(&mut self, pull: Pull) {
        self.pulls.push(pull.queue);
        let left = self.queues.entry(pull.queue).or_default();
        let answer = match left.checked_sub(1) {
            Some(pending) => {
                *left = pending;
                self.hand.push_back(pull.queue);
                let pending = if self.again { 0 } else { pending };
                Answer::Task { pending, again: self.again }
            }
            None => Answer::Nothing,
        };
        self.dispatch.answered(pull, answer, self.now, 0.5);
    }

    /// Ends the oldest task.
    fn end(&mut self) -> Option<TaskQueue> {
        let queue = self.hand.pop_front()?;
        self.dispatch.ended(queue, None, self.now, 0.5);
        Some(queue)
    }

    /// Works until nothing is in hand, a task in this time, and returns the queues of the tasks in order.
    fn work(&mut self, each: Duration) -> Vec<TaskQueue> {
        let mut done = Vec::new();
        self.fill();
        while let Some(queue) = self.end() {
            self.now += each;
            done.push(queue);
            self.fill();
        }
        done
    }

    /// Lets time pass until then, as the actor does: it sleeps until the dispatcher wakes.
    fn pass(&mut self, until: Duration) {
        while let Some(at) = self.dispatch.wakes().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.fill();
        }
        self.now = until;
    }
}

#[test]
fn each_queue_has_its_place() {
    assert!(TaskQueue::all().map(TaskQueue::index).eq(0..Lane::ALL.len() * Group::ALL.len()));
}

#[test]
fn a_backlog_costs_little_more_than_a_pull_a_task() {
    for each in [1, 10, 100, 500].map(Duration::from_millis) {
        let mut bench = Bench::idle(slots(2));
        for (group, tasks) in [(Group::First, 100), (Group::Main, 900), (Group::Package, 100)] {
            bench.release(Lane::Normal, group, tasks);
        }
        assert_eq!(bench.work(each).len(), 1100);
        let pulls = bench.pulls.len();
        assert!((1100..=1320).contains(&pulls), "{each:?} {pulls}");
    }
}

#[test]
fn an_idle_node_asks_each_queue_in_turn_and_few_a_second() {
    let mut bench = Bench::idle(slots(8));
    let seconds = 60;
    for second in 1..=seconds {
        bench.pass(Duration::from_secs(second));
        assert!(bench.pulls.len() as u64 <= second * 4 + 4, "{second}: {}", bench.pulls.len());
    }
    assert!(bench.pulls.len() > 200, "a message without a hint is found: {}", bench.pulls.len());
    for queue in TaskQueue::all() {
        let asked = bench.pulls.iter().filter(|asked| **asked == queue).count();
        assert!((10..=20).contains(&asked), "{queue:?} {asked}");
    }
}

#[test]
fn a_hint_wakes_the_queue_that_it_names() {
    let mut bench = Bench::idle(slots(4));
    bench.release(Lane::Low, Group::Images, 1);
    bench.fill();
    assert_eq!(bench.pulls, [TaskQueue::new(Lane::Low, Group::Images)]);
    assert_eq!(bench.hand.len(), 1);
}

#[test]
fn a_hint_between_request_and_answer_counts() {
    let mut bench = Bench::idle(slots(4));
    bench.heard.note(NORMAL_MAIN);
    let pull = bench.next().unwrap();
    assert!(!pull.wait.is_zero(), "the message may not be stored yet");
    bench.heard.note(NORMAL_MAIN);
    bench.dispatch.answered(pull, Answer::Nothing, bench.now, 0.0);
    let again = bench.next().unwrap();
    assert_eq!(again.queue, NORMAL_MAIN);
    bench.dispatch.answered(again, Answer::Task { pending: 0, again: false }, bench.now, 0.0);
    assert_eq!(bench.next(), None);
}

#[test]
fn a_queue_with_an_open_pull_is_not_asked_without_a_hint() {
    let mut bench = Bench::idle(slots(30));
    let mut open = BTreeMap::new();
    while let Some(at) = bench.dispatch.wakes() {
        bench.now = at;
        while let Some(pull) = bench.next() {
            *open.entry(pull.queue).or_insert(0) += 1;
        }
    }
    assert_eq!(open, TaskQueue::all().map(|queue| (queue, 1)).collect());
}

#[test]
fn a_hint_that_finds_nothing_is_doubted_once() {
    let mut bench = Bench::idle(slots(4));
    bench.heard.note(NORMAL_MAIN);
    let waits: Vec<Duration> = std::iter::from_fn(|| {
        let pull = bench.next()?;
        assert_eq!(pull.queue, NORMAL_MAIN);
        bench.now += pull.wait;
        bench.dispatch.answered(pull, Answer::Nothing, bench.now, 0.0);
        Some(pull.wait)
    })
    .collect();
    assert_eq!(waits, [HINT_WAIT, DOUBT_WAIT]);
}

#[test]
fn a_slot_waits_for_no_hint_while_other_tasks_wait() {
    let mut bench = Bench::idle(slots(1));
    bench.release(Lane::Normal, Group::Main, 3);
    bench.heard.note(TaskQueue::new(Lane::Normal, Group::First));
    let pull = bench.next().unwrap();
    assert_eq!((pull.queue.group, pull.wait), (Group::First, Duration::ZERO));
    bench.answer(pull);
    let pull = bench.next().unwrap();
    assert_eq!((pull.queue.group, pull.wait), (Group::Main, HINT_WAIT), "it may be stored yet");
    bench.answer(pull);
    bench.end();
    let pull = bench.next().unwrap();
    assert_eq!((pull.queue.group, pull.wait), (Group::Main, Duration::ZERO), "known to wait");
}

#[test]
fn what_completes_a_job_goes_before_what_begins_another() {
    let mut bench = Bench::idle(slots(1));
    for group in Group::ALL {
        bench.release(Lane::Normal, group, 2);
    }
    let groups: Vec<Group> = bench.work(Duration::ZERO).into_iter().map(|q| q.group).collect();
    let twice = URGENCY.into_iter().flat_map(|group| [group; 2]);
    assert_eq!(groups, twice.collect::<Vec<_>>());
    assert_eq!(URGENCY[..2], [Group::First, Group::Audio], "playback needs both");
    let place = |group| URGENCY.iter().position(|it| *it == group);
    assert!(place(Group::Package) < place(Group::Main));
    assert!(place(Group::Images) < place(Group::Main));
}

#[test]
fn lanes_take_turns_by_weight() {
    let mut bench = Bench::new(slots(1));
    for lane in Lane::ALL {
        bench.release(lane, Group::Main, 100);
    }
    let done = bench.work(Duration::ZERO);
    for (lane, weight) in [(Lane::High, 80), (Lane::Normal, 30), (Lane::Low, 10)] {
        let early = done[..120].iter().filter(|queue| queue.lane == lane).count();
        assert_eq!(early, weight, "{lane}");
    }
}

#[test]
fn four_slots_have_four_tasks_in_hand() {
    for lane in Lane::ALL {
        let mut bench = Bench::new(slots(4));
        bench.release(lane, Group::Main, 9);
        bench.fill();
        assert_eq!(bench.hand.len(), 4, "{lane}");
    }
}

#[test]
fn open_pulls_and_tasks_are_never_more_than_the_slots() {
    let mut bench = Bench::new(slots(3));
    bench.release(Lane::Normal, Group::Main, 9);
    bench.fill();
    bench.end();
    bench.end();
    let open: Vec<Pull> = std::iter::from_fn(|| bench.next()).collect();
    assert_eq!(open.len(), 2);
    assert!(open.iter().all(|pull| pull.queue == NORMAL_MAIN), "{open:?}");
    assert_eq!(bench.dispatch.wakes(), None, "no slot is free");
    open.into_iter().for_each(|pull| bench.answer(pull));
    assert_eq!(bench.dispatch.in_hand(Group::Main), 3);
}

#[test]
fn reserved_slots_are_for_the_lane_high_alone() {
    let mut bench = Bench::new(Slots { for_high: 1, ..slots(4) });
    bench.release(Lane::Normal, Group::Main, 9);
    bench.release(Lane::High, Group::Main, 1);
    bench.fill();
    let high = |bench: &Bench| bench.hand.iter().filter(|q| q.lane == Lane::High).count();
    assert_eq!((bench.hand.len(), high(&bench)), (4, 1), "the task of the lane high has its slot");
    bench.release(Lane::Low, Group::Main, 9);
    while bench.hand.iter().any(|queue| queue.lane == Lane::High) {
        bench.end();
    }
    bench.fill();
    assert_eq!((bench.hand.len(), high(&bench)), (3, 0), "a slot stays free");
}

#[test]
fn a_group_has_no_more_slots_than_it_may() {
    let groups = BTreeMap::from([(Group::Main, 1)]);
    let mut bench = Bench::new(Slots { of_groups: groups, ..slots(4) });
    bench.release(Lane::Normal, Group::Main, 9);
    bench.release(Lane::High, Group::Main, 9);
    bench.release(Lane::Normal, Group::Audio, 1);
    bench.fill();
    assert_eq!((bench.dispatch.in_hand(Group::Main), bench.hand.len()), (1, 2));
}

#[test]
fn the_tasks_of_a_node_that_died_are_taken_together() {
    let mut bench = Bench::idle(slots(4));
    bench.again = true;
    bench.queues.insert(NORMAL_MAIN, 4);
    let found = |bench: &Bench| !bench.hand.is_empty();
    let mut until = Duration::ZERO;
    while !found(&bench) {
        until += Duration::from_millis(100);
        bench.pass(until);
    }
    assert_eq!(bench.hand.len(), 4, "all at {until:?}");
    assert!(until < AGAIN_MIN + AGAIN_SPREAD + AGAIN_PERIOD * 18, "{until:?}");
}

#[test]
fn each_message_that_was_handed_back_is_asked_for() {
    let mut bench = Bench::idle(slots(2));
    bench.release(Lane::Normal, Group::Main, 2);
    bench.fill();
    for seconds in [60, 70] {
        let queue = bench.hand.pop_front().unwrap();
        bench.dispatch.ended(queue, Some(Duration::from_secs(seconds)), bench.now, 0.0);
    }
    for seconds in [60, 70] {
        let back = Duration::from_secs(seconds) + RETURN_SLACK;
        bench.pass(back - Duration::from_millis(1));
        bench.pulls.clear();
        bench.pass(back);
        assert!(bench.pulls.contains(&NORMAL_MAIN), "after {seconds} s: {:?}", bench.pulls);
    }
}

#[test]
fn a_message_that_was_handed_back_is_asked_for_when_it_returns() {
    let mut bench = Bench::idle(slots(1));
    bench.release(Lane::Normal, Group::Top, 1);
    bench.fill();
    let queue = bench.hand.pop_front().unwrap();
    let after = Duration::from_secs(60);
    bench.dispatch.ended(queue, Some(after), bench.now, 1.0);
    bench.pulls.clear();
    bench.pass(after);
    bench.pulls.clear();
    *bench.queues.get_mut(&queue).unwrap() += 1;
    bench.pass(after + RETURN_SLACK + RETURN_SPREAD);
    assert_eq!(bench.hand, [queue], "{:?}", bench.pulls);
    assert_eq!(bench.pulls.last(), Some(&queue));
}

#[test]
fn an_urgent_message_without_a_hint_is_found_under_a_backlog() {
    for each in [Duration::from_millis(100), Duration::from_secs(10)] {
        let mut bench = Bench::idle(slots(1));
        for group in URGENCY {
            bench.release(Lane::Normal, group, 1);
        }
        bench.work(each);
        bench.release(Lane::Normal, Group::Main, 1000);
        bench.fill();
        let urgent = TaskQueue::new(Lane::Normal, Group::Images);
        bench.queues.insert(urgent, 1);
        bench.now += AGAIN_MIN + AGAIN_SPREAD;
        let mut tasks = 0;
        while !bench.hand.contains(&urgent) {
            bench.end();
            bench.now += each;
            bench.fill();
            tasks += 1;
        }
        let most = 4 * if each > AGAIN_MAX { 1 } else { AGAIN_TASKS };
        assert!(tasks <= most, "{each:?} {tasks}");
    }
}

#[test]
fn a_failed_pull_is_repeated_after_a_while_only() {
    let mut bench = Bench::idle(slots(1));
    bench.heard.note(NORMAL_MAIN);
    let pull = bench.next().unwrap();
    bench.dispatch.answered(pull, Answer::Failed, bench.now, 0.0);
    assert_eq!(bench.next(), None);
    assert!(bench.dispatch.is_idle());
    assert!(bench.dispatch.wakes().is_some_and(|at| at <= AGAIN_MIN + AGAIN_SPREAD));
}

#[test]
fn fewer_slots_end_no_task_and_more_slots_take_the_next_ones() {
    let mut bench = Bench::idle(Slots { for_high: 1, ..slots(4) });
    bench.release(Lane::Normal, Group::Main, 20);
    bench.fill();
    assert_eq!((bench.hand.len(), bench.dispatch.busy()), (3, 3));
    bench.dispatch.resize(1);
    assert!(bench.end().is_some());
    bench.fill();
    assert_eq!(bench.hand.len(), 2, "more than open slots");
    assert!(bench.end().is_some() && bench.end().is_some());
    bench.fill();
    assert_eq!(bench.hand.len(), 1, "the last slot is for every lane");
    bench.dispatch.resize(4);
    bench.fill();
    assert_eq!(bench.dispatch.busy(), 3);
}

#[test]
fn only_queues_are_asked_from_which_the_node_takes_tasks() {
    let mut bench = Bench::new(slots(2));
    let taken: BTreeSet<TaskQueue> =
        TaskQueue::all().filter(|queue| queue.group != Group::Main).collect();
    bench.dispatch.take_only(&taken);
    bench.release(Lane::Normal, Group::Main, 3);
    bench.release(Lane::Normal, Group::Top, 3);
    assert_eq!(bench.work(Duration::from_secs(1)), [TaskQueue::new(Lane::Normal, Group::Top); 3]);
    bench.pass(Duration::from_secs(100));
    let asked = bench.pulls.iter().filter(|queue| queue.group == Group::Main).count();
    assert_eq!(asked, 0, "neither a hint nor time makes it ask");
}

#[test]
fn a_queue_that_opens_is_asked_at_once_and_one_that_closes_no_more() {
    let mut bench = Bench::idle(slots(1));
    bench.dispatch.take_only(&BTreeSet::new());
    bench.release(Lane::Normal, Group::Main, 5);
    bench.pass(Duration::from_secs(60));
    assert!(bench.pulls.is_empty() && bench.dispatch.wakes().is_none());
    // The hint may have been lost.
    bench.heard = Heard::default();
    bench.dispatch.take_only(&[NORMAL_MAIN].into());
    bench.fill();
    assert_eq!((bench.pulls.as_slice(), bench.hand.len()), ([NORMAL_MAIN].as_slice(), 1));
    bench.dispatch.take_only(&BTreeSet::new());
    assert_eq!(bench.dispatch.in_hand(Group::Main), 1, "what is in hand stays there");
    assert_eq!(bench.end(), Some(NORMAL_MAIN));
    bench.fill();
    assert_eq!((bench.pulls.len(), bench.hand.len()), (1, 0));
    assert!(bench.dispatch.is_idle());
}
