//! English words that decide whether two statements say the same: units of measure, numbers,
//! opposites, and synonyms. Everything is in lower case; the lists are texts, which are easier to
//! read than arrays.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

/// Units of measure, one per line: the name used for comparison, and its other spellings.
const MEASURES: &str = "
    second s sec secs seconds
    millisecond ms milliseconds
    minute min mins minutes
    hour h hr hrs hours
    day d days
    week weeks
    month months
    year years
    byte b bytes
    kilobyte kb kib kilobytes
    megabyte mb mib megabytes
    gigabyte gb gib gigabytes
    terabyte tb tib terabytes
    percent %
    degree ° degrees
    metre m metres meter meters
    centimetre cm centimetres
    millimetre mm millimetres
    kilometre km kilometres
    mile miles
    foot ft feet
    kilogram kg kilograms
    gram g grams
    euro € eur euros
    dollar $ usd dollars
    cent cents
    pixel px pixels
    thousand
    million
    billion
";

/// Numbers written as words.
const NUMBERS: &str = "
    zero 0, one 1, two 2, three 3, four 4, five 5, six 6, seven 7, eight 8, nine 9, ten 10,
    eleven 11, twelve 12, fifteen 15, twenty 20, thirty 30, forty 40, fifty 50, sixty 60,
    ninety 90, hundred 100,
";

/// Pairs of opposites, one per line. A sentence with one side, where the source has the other, says
/// the opposite, however many words they share.
const OPPOSITES: &str = "
    allow permit accept grant | deny forbid reject refuse prohibit block
    enable activate | disable deactivate
    open | close shut
    start begin launch | stop end halt terminate
    increase rise raise grow | decrease fall reduce shrink
    double | halve
    add added insert append | remove delete erase discard clear
    include | exclude omit
    join | leave
    lock | unlock
    encrypt | decrypt
    upload | download
    pass succeed success | fail failure
    cool | heat warm
    before | after
    first | last
    fast quick faster | slow slower
    large larger big bigger | small smaller little
    long longer length | short shorter
    high higher height | low lower
    old older oldest | new newer newest young
    incoming inbound | outgoing outbound
    inside | outside
    ascending | descending
    public | private
    local | remote
    top | bottom
    left | right
    once | twice
    always | never
    minimum min minimal smallest shortest lowest | maximum max maximal largest longest highest
";

/// Words that can replace one another in manuals, one group per line.
const SAME: &str = "
    cost price
    need require necessary
    keep retain hold store live lie reside stay remain
    folder directory
    setting option parameter
    create make generate produce
    choose select pick
    answer reply respond response
    ask request
    send forward transmit
    show display print
    change modify edit alter
    get fetch receive obtain retrieve
    connect link
    mail email
    tell notify inform
    build construct built
    run execute
    ignore skip
    licence license
    move go transfer
    automatic automatically itself
    silent quiet inactive inactivity
    continue proceed
    finish complete
    wait pause delay
    restart reboot
    check verify validate
    watch monitor observe
    split divide
    merge combine
    replace substitute
    several multiple many
    picture image
    problem issue
    purchase buy
    immediately directly
    trigger fire
    recommend suggest advise
    examine inspect
    permission right privilege
    wide width
    deep depth
    refer point
";

/// Forms that stemming does not reduce to their verb, each with the verb.
const IRREGULAR: &str = "
    ate eat, began begin, begun begin, bent bend, bought buy, bred breed, broke break,
    broken break, brought bring, built build, burnt burn, came come, caught catch, chosen
    choose, dealt deal, done do, drank drink, drawn draw, drew draw, driven drive, drove
    drive, drunk drink, dug dig, eaten eat, fallen fall, fed feed, fell fall, felt feel,
    flew fly, flown fly, forgot forget, forgotten forget, fought fight, froze freeze, frozen
    freeze, gave give, given give, gone go, grew grow, grown grow, heard hear, held hold,
    hidden hide, hung hang, kept keep, knew know, known know, laid lay, led lead, lent lend,
    lit light, lost lose, made make, meant mean, met meet, paid pay, ran run, ridden ride,
    risen rise, rode ride, rose rise, said say, sang sing, sank sink, sat sit, saw see, seen
    see, sent send, shook shake, shot shoot, shown show, slept sleep, sold sell, sought
    seek, spent spend, spoke speak, spoken speak, spun spin, stole steal, stolen steal,
    stood stand, struck strike, stuck stick, sung sing, sunk sink, swam swim, swept sweep,
    swum swim, taken take, taught teach, thought think, threw throw, thrown throw, told
    tell, took take, tore tear, torn tear, understood understand, went go, won win, wore
    wear, worn wear, written write, wrote write,
";

/// Words that frame a statement without being part of its content: claims add and drop them freely.
const FRAME: &str = "
    able about additionally adjust allow almost also amount anything application apply
    approximately are argument around available back be become case cause certain come
    command comprise configure consider consist contain control correspond count currently
    define describe determine duration element equal everything exactly example expose
    feature field find flag following front give go happen hence however indicate instead
    interval involve item kind length let like locate look mean namely nearly note now
    number occur offer option parameter particular per period possible process product
    program provide regard roughly say see set setting simply since size software something
    specifically specify state support system therefore thing time today tool total
    type typically use user using value variable via way within work
";

/// What a stem is compared as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sense {
    /// The word that represents a group of synonyms or a pair of opposites.
    pub(super) key: String,
    /// The side of a pair of opposites; otherwise 0.
    pub(super) pole: i8,
}

fn lines(list: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    list.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|line| !line.is_empty())
}

fn pairs(list: &'static str) -> HashMap<&'static str, &'static str> {
    let pair = |pair: &'static str| {
        let mut words = pair.split_whitespace();
        Some((words.next()?, words.next()?))
    };
    list.split(',').filter_map(pair).collect()
}

fn english() -> Stemmer {
    Stemmer::create(Algorithm::English)
}

static MEASURE_NAMES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let named = |line: Vec<&'static str>| line.clone().into_iter().map(move |form| (form, line[0]));
    lines(MEASURES).flat_map(named).collect()
});

static DIGITS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| pairs(NUMBERS));

static VERBS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| pairs(IRREGULAR));

/// Senses by stem.
static SENSES: LazyLock<HashMap<String, Sense>> = LazyLock::new(|| {
    let stemmer = english();
    let mut senses = HashMap::new();
    for group in lines(SAME) {
        for word in &group {
            let (key, pole) = (group[0].to_owned(), 0);
            senses.insert(stemmer.stem(word).into_owned(), Sense { key, pole });
        }
    }
    for pair in lines(OPPOSITES) {
        let mut pole = 1;
        for word in &pair {
            if *word == "|" {
                pole = -1;
                continue;
            }
            let key = pair[0].to_owned();
            senses.insert(stemmer.stem(word).into_owned(), Sense { key, pole });
        }
    }
    senses
});

static FRAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let stemmer = english();
    let stem = |word| stemmer.stem(word).into_owned();
    FRAME.split_whitespace().map(stem).collect()
});

/// The unit that `word` names. Abbreviations count only next to a number: elsewhere, an `s` or an
/// `m` is something else.
pub(super) fn measure(word: &str, beside_number: bool) -> Option<&'static str> {
    let name = MEASURE_NAMES.get(word).copied();
    name.filter(|_| beside_number || word.len() > 3)
}

/// The digits of a number written as a word.
pub(super) fn number(word: &str) -> Option<&'static str> {
    DIGITS.get(word).copied()
}

/// What a stem is compared as, if that is not the stem itself.
pub(super) fn sense(stem: &str) -> Option<&'static Sense> {
    SENSES.get(stem)
}

/// Whether a stem has no meaning by itself.
pub(super) fn is_frame(stem: &str) -> bool {
    FRAMES.contains(stem)
}

/// The base form of an irregular verb.
pub(super) fn base_form(word: &str) -> &str {
    VERBS.get(word).copied().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(measure("ms", true), Some("millisecond"));
        assert_eq!(measure("ms", false), None);
        assert_eq!(measure("hours", false), Some("hour"));
        assert_eq!(number("twelve"), Some("12"));
        assert_eq!(base_form("kept"), "keep");
        let (deny, allow) = (sense("deni").unwrap(), sense("allow").unwrap());
        assert_eq!((&deny.key, deny.pole), (&allow.key, -allow.pole));
        assert!(is_frame("use") && !is_frame("port"));
    }
}
