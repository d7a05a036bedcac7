/* A batch in a worker: running its members, revoking what it has not begun, cancelling and withdrawing
 * single members, and what its death costs; with the order in which stores are seen.
 * README.md says what is modelled, what is left out, and what each property means. */

#define MEMBERS 3
#define NOBODY 7
#define LANE_OF(i) (2 + (i))                 /* what stands in the lane: 0 nothing begun, 1 no member yet */
#define MEMBER_IN(lane) ((lane) - 2)

/* In the kernel: what the worker has reported. Of a part: its members, two bits for each. */
chan reports = [REPORTS] of { byte, byte, byte, byte };      /* kind, first member, end, outcomes */
#define OWN 1                                /* one member, by itself */
#define PART 2
#define LAST 3
#define RESULT 1
#define ITSELF 2                             /* its outcome was reported by itself */
#define SKIPPED 3
#define CODE(mask, i) (((mask) >> (2 * (i))) & 3)

/* Shared memory. What a processor stores lies in its buffer first, and becomes visible in order. */
byte lane, shelf_first = NOBODY, shelf[MEMBERS];             /* status page, written by the worker */
bit revoked, mark[MEMBERS];                  /* status page and arena, written by the pool */
#define LANE 3
#define SHELF_FIRST 4
#define REVOKED 3
chan worker_stores = [STORES] of { byte, byte };     /* which word (or place on the shelf), value */
chan pool_stores = [STORES] of { byte };     /* which word (or mark) */
#define ENTRY(i, code) ((code) + 4 * (i))    /* an entry on the shelf tells whose it is */

/* The worker. */
#define UP 1
#define KILLED 2                             /* takes no step any more */
#define DEAD 3                               /* has ended */
byte life = UP;

/* The pool. */
byte outcome[MEMBERS], runs[MEMBERS];
#define CANCELLED 4
#define CRASHED 5
bit over;                                    /* the batch is no longer in the ledger */
byte bound = MEMBERS;                        /* Batch.end: those behind have been taken from it */
bit with[MEMBERS] = 1;                       /* Task.batch is this one */
bit elsewhere[MEMBERS];                      /* waits to be run by somebody else */
bit seen_unbegun[MEMBERS];                   /* the pool has relied on its being skipped */
byte cancelled = NOBODY, withdrawn = NOBODY;
bit asked;                                   /* an answer about the withdrawn one is waited for */
#define REVOCATION 0
#define CANCELLATION 1
#define WITHDRAWAL 2
byte phase[3];
#define SETTLING 1
#define SEEN_TO 2
byte older_pool[3], older_worker[3];         /* stores made before this half of the settle time */
bit past_middle[3];

inline end_task(t, what) {
    assert(outcome[t] == 0);                 /* EndsOnce */
    outcome[t] = what
}

inline begin_member(t) {
    assert(!seen_unbegun[t]);                /* CancelledNeverBegins */
    runs[t]++;
    assert(runs[t] == 1)                     /* RunsOnce */
}

inline take_back(t) {
    assert(runs[t] == 0);                    /* WithdrawnNeverBegins */
    seen_unbegun[t] = 1;
    end_task(t, CANCELLED)
}

/* ---------------------------------------------------------------- memory */

/* As in interrupts.pml: the settle time is longer than a store lingers, twice over. */
inline let_settle(timer) {
    phase[timer] = SETTLING;
    past_middle[timer] = 0;
    let_half_pass(timer)
}
inline let_half_pass(timer) {
    older_pool[timer] = len(pool_stores);
    older_worker[timer] = len(worker_stores)
}
#define HALF_OVER(timer) (older_pool[timer] == 0 && older_worker[timer] == 0)
#define SETTLED(timer) (phase[timer] == SETTLING && past_middle[timer] && HALF_OVER(timer))
#define MIDDLE(timer) :: atomic { phase[timer] == SETTLING && !past_middle[timer] && HALF_OVER(timer) -> \
    past_middle[timer] = 1; let_half_pass(timer) }
#define AGE(counter) if :: counter > 0 -> counter-- :: else fi
#define AGE_ALL(counter) AGE(counter[0]); AGE(counter[1]); AGE(counter[2])

proctype Memory() {
    byte word, value;
end_memory:
    do
    :: atomic {
        pool_stores?word;
        if :: word == REVOKED -> revoked = 1 :: else -> mark[word] = 1 fi;
        AGE_ALL(older_pool);
        word = 0
    }
    :: atomic {
        worker_stores?word,value;
        if
        :: word == LANE -> lane = value
        :: word == SHELF_FIRST -> shelf_first = value
        :: else -> shelf[word] = value
        fi;
        AGE_ALL(older_worker);
        word = 0; value = 0
    }
    MIDDLE(0) MIDDLE(1) MIDDLE(2)
    od
}

/* ---------------------------------------------------------------- worker */

/* A system call that takes a lock: all stores before it are visible after it. */
#define WORKER_FENCE (len(worker_stores) == 0)

proctype Worker() {
    byte i, first, mask, code;
    {
        worker_stores!LANE,1;
        worker_stores!SHELF_FIRST,0;
next:
        worker_stores!LANE,LANE_OF(i);
        if :: revoked -> goto last :: else fi;
        atomic { if :: mark[i] -> code = SKIPPED :: else -> begin_member(i) fi }
        /* It may run for ever; killed or not, what it does is over before what follows. */
        if
        :: code == SKIPPED
        :: code != SKIPPED -> code = RESULT
        :: code != SKIPPED -> atomic { WORKER_FENCE -> reports!OWN,i,0,0 }; code = ITSELF
        fi;
        worker_stores!(i - first),ENTRY(i, code);
        atomic { mask = mask | (code << (2 * i)); code = 0; i++ }
        if
        :: atomic { WORKER_FENCE -> reports!PART,first,i,mask };
           atomic { worker_stores!SHELF_FIRST,i; first = i; mask = 0 }
        :: true
        fi;
        if :: i < MEMBERS -> goto next :: else fi;
last:
        atomic { WORKER_FENCE -> reports!LAST,first,i,mask };
        atomic { worker_stores!LANE,0; first = 0; mask = 0; i = 0 }
end_idle:
        false
    } unless {
        atomic { life == KILLED -> life = DEAD; first = 0; mask = 0; i = 0; code = 0 }
    }
}

/* ------------------------------------------------------------------ pool */

#define POOL_FENCE (len(pool_stores) == 0)

inline run_elsewhere(t) {
    with[t] = 0;
    elsewhere[t] = 1
}

inline was_skipped(t) {
    if
    :: with[t] && outcome[t] == 0 ->
        with[t] = 0;
        if
        :: asked -> asked = 0; take_back(t)
        :: !asked -> run_elsewhere(t)        /* it had been left alone */
        fi
    :: else
    fi
}

inline handle_member(t, code) {
    if
    :: t < bound && outcome[t] == 0 && code == RESULT -> end_task(t, RESULT)
    :: t < bound && code == SKIPPED -> was_skipped(t)
    :: else
    fi
}

inline take_rest(from) {
    t = from;
    do
    :: t < bound ->
        if :: with[t] && outcome[t] == 0 -> run_elsewhere(t) :: else fi;
        t++
    :: else -> break
    od;
    if :: from < bound -> bound = from :: else fi;
    t = 0
}

inline handle_report() {
    if
    :: over                                  /* stale */
    :: !over && kind == OWN ->
        if :: first < bound && outcome[first] == 0 -> end_task(first, RESULT) :: else fi
    :: !over && kind != OWN ->
        t = first;
        do
        :: t < end -> handle_member(t, CODE(mask, t)); t++
        :: else -> break
        od;
        if
        :: kind == LAST -> take_rest(end); over = 1
        :: else
        fi
    fi;
    kind = 0; first = 0; end = 0; mask = 0; t = 0
}

inline read_reports() {
    do
    :: nempty(reports) -> reports?kind,first,end,mask; handle_report()
    :: empty(reports) -> break
    od
}

/* End what the shelf has: `first` and `mask` were read from it, while `seen` stood in the lane. */
inline handle_shelf() {
    t = first;
    do
    :: t < MEMBER_IN(seen) -> handle_member(t, CODE(mask, t)); t++
    :: else -> break
    od;
    t = 0; first = 0; mask = 0
}

inline read_entry(i) {
    if
    :: first + i < MEMBER_IN(seen) -> entry = shelf[i]; owner[i] = entry / 4; mask = mask | ((entry & 3) << (2 * (first + i))); entry = 0
    :: else
    fi
}
inline right_entry(i) {
    if :: first + i < MEMBER_IN(seen) -> assert(owner[i] == first + i && CODE(mask, first + i)) :: else fi       /* ShelfIsRight */
}
inline forget_entries() { owner[0] = 0; owner[1] = 0; owner[2] = 0; mask = 0; first = 0 }

#define HAS_SHELF (shelf_first != NOBODY && seen > 1 && shelf_first < MEMBER_IN(seen))
#define ALL_ENDED (outcome[0] && outcome[1] && outcome[2])
#define REST seen = 0; begun = 0; t = 0; goto rest
#define ELSEWHERE(n) :: atomic { elsewhere[n] -> elsewhere[n] = 0; \
    if :: outcome[n] == 0 -> begin_member(n); end_task(n, RESULT) :: else fi }
#define CANCEL(n) :: atomic { cancelled == NOBODY && outcome[n] == 0 && withdrawn != n -> cancelled = n; goto cancel }
#define WITHDRAW(n) :: atomic { withdrawn == NOBODY && outcome[n] == 0 && with[n] && !over -> withdrawn = n; goto withdraw }

proctype Pool() {
    byte kind, first, end, mask, t, seen, entry, owner[MEMBERS];
    bit begun;

rest:
    do
    :: atomic { ALL_ENDED && over && phase[0] != SETTLING && phase[1] != SETTLING && phase[2] != SETTLING -> break }
    :: atomic { life == UP && nempty(reports) -> reports?kind,first,end,mask; handle_report() }
    ELSEWHERE(0) ELSEWHERE(1) ELSEWHERE(2)
#ifdef WITHDRAWALS
    WITHDRAW(0) WITHDRAW(1) WITHDRAW(2)
#else
    CANCEL(0) CANCEL(1) CANCEL(2)
#endif
    :: atomic { phase[REVOCATION] == 0 && !over && lane != 0 -> pool_stores!REVOKED; let_settle(REVOCATION) }
    :: atomic { SETTLED(REVOCATION) -> phase[REVOCATION] = SEEN_TO; goto revoke }
    :: atomic { SETTLED(CANCELLATION) -> phase[CANCELLATION] = SEEN_TO; goto look_for_cancelled }
    :: atomic { SETTLED(WITHDRAWAL) -> phase[WITHDRAWAL] = SEEN_TO; goto look_for_withdrawn }
#ifdef CRASH
    :: atomic { life == UP -> life = KILLED }
#endif
    :: atomic { life == DEAD && !over && WORKER_FENCE && POOL_FENCE -> goto bury }
    od;
    goto finished;
cancel:
    atomic {
        end_task(cancelled, CANCELLED);
        if
        :: with[cancelled] && !over && cancelled < bound -> pool_stores!cancelled; let_settle(CANCELLATION)
        :: else
        fi;
        REST
    }
look_for_cancelled:
    atomic {
        if
        :: lane == LANE_OF(cancelled)        /* it has begun, and is interrupted */
        :: else -> seen_unbegun[cancelled] = 1
        fi;
        REST
    }
withdraw:
    atomic { asked = 1; pool_stores!withdrawn; let_settle(WITHDRAWAL); REST }
look_for_withdrawn:
    atomic { seen = lane; begun = seen > 1 && MEMBER_IN(seen) >= withdrawn }
    atomic {
        if :: life == UP -> read_reports() :: else fi;
        if
        :: !asked || outcome[withdrawn] != 0 -> asked = 0        /* it was skipped, or has ended */
        :: else ->
            asked = 0;
            if
            :: !with[withdrawn] || over -> if :: elsewhere[withdrawn] -> elsewhere[withdrawn] = 0; take_back(withdrawn) :: else fi
            :: else -> if :: begun || life != UP :: else -> take_back(withdrawn) fi
            fi
        fi;
        REST
    }
revoke:
    atomic {
        seen = lane;
        if
        :: over || seen == 0 || life != UP -> REST
        :: else -> if :: seen == 1 -> take_rest(0) :: else -> take_rest(MEMBER_IN(seen) + 1) fi
        fi
    }
    atomic { if :: HAS_SHELF -> first = shelf_first :: else -> REST fi }
    read_entry(0);
    read_entry(1);
    read_entry(2);
    atomic {
        if
        :: lane == seen -> right_entry(0); right_entry(1); right_entry(2); handle_shelf()
        :: lane != seen                      /* it has gone on, and may have used the shelf for others */
        fi;
        forget_entries();
        REST
    }
bury:
    atomic {
        read_reports();
        if :: over -> REST :: else fi;
        seen = lane;
        if
        :: HAS_SHELF ->
            first = shelf_first;
            read_entry(0); read_entry(1); read_entry(2);
            right_entry(0); right_entry(1); right_entry(2);
            handle_shelf()
        :: else
        fi;
        forget_entries();
        if :: seen < 2 -> take_rest(0) :: else -> take_rest(MEMBER_IN(seen) + 1) fi;
        t = 0;
        do
        :: t < bound ->
            if
            :: with[t] && outcome[t] == 0 ->
                assert(LANE_OF(t) == seen);  /* CrashCostsOne */
                end_task(t, CRASHED)
            :: else
            fi;
            t++
        :: else -> break
        od;
        over = 1;
        REST
    }
finished:
    skip
}

init { atomic { run Memory(); run Worker(); run Pool() } }
