/* Stealing, sleeping and waking, and what becomes of tasks when their worker dies.
 * README.md says what is modelled, what is left out, and what each property means. */

#ifndef TASKS
#define TASKS 4
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef RETIREMENTS
#define RETIREMENTS 0
#endif
#ifndef MESSAGES
#define MESSAGES 0
#endif
#define WORKERS 3
#define LANES 2
#define NOBODY WORKERS
#define OTHER(w, n) (((w) + (n)) % WORKERS)

/* Tasks have no names: those of one kind are alike. */
#define NO_TASK 0
#define FRESH 1                              /* has not been run */
#define RUN 2                                /* has been run: must not be run again */
#define RETRIED 3                            /* has been run, its worker died, and it had a retry */
#define KINDS 4

/* In the kernel. */
byte queue[WORKERS * KINDS];                 /* how many tokens of each kind */
#define IN_QUEUE(q, kind) queue[(q) * KINDS + (kind)]
#define WAITING(q) (IN_QUEUE(q, FRESH) + IN_QUEUE(q, RUN) + IN_QUEUE(q, RETRIED))
#define TOKENS (WAITING(0) + WAITING(1) + WAITING(2))
bit look_round[WORKERS], stop_mail[WORKERS], message[WORKERS];
#define MAIL(w) (look_round[w] || stop_mail[w] || message[w])
bit reported[WORKERS];                       /* a report on the task in its first lane has been written */
bit exiting[WORKERS];                        /* a report that it is about to end has been written */

/* Status page. */
bit idle[WORKERS];
byte lane[WORKERS * LANES];                  /* the kind of the task in it, for its attempt */
bit begun[WORKERS * LANES];
#define NOW(w) ((w) * LANES)                 /* the lane of the task it runs */
#define NEXT(w) ((w) * LANES + 1)            /* the lane of the task taken ahead */

/* Processes. */
#define NONE 0
#define STARTING 1
#define UP 2
#define KILLED 3                             /* takes no step any more */
#define DEAD 4                               /* has ended; the pool has not noticed */
byte life[WORKERS];
#define MOVING 0                             /* between two steps */
#define BUSY 1                               /* in user's code, perhaps for ever */
#define ASLEEP 2                             /* in poll */
byte doing[WORKERS];
byte crashes = CRASHES, retirements = RETIREMENTS, messages = MESSAGES;

/* What the pool alone knows. */
byte backlog[KINDS], pushing[KINDS];
byte ended;
bit struck_out[WORKERS];                     /* the task in its first lane has ended, by its report */
bit leaving[WORKERS];
bit fed[WORKERS];                            /* its present sleep is counted on for a task in its queue ... */
bit woken[WORKERS];                          /* ... or was ended by a look-round */
bit at_rest;
#define OPEN(w) (life[w] != NONE && !leaving[w])
#define UNREAD(w) (reported[w] && !struck_out[w])

inline read_report(w) {
    struck_out[w] = 1;
    ended++
}

/* ---------------------------------------------------------------- worker */

/* One readv: the token leaves the queue and is in the lane. */
inline take(q, where) {
    if
    :: IN_QUEUE(q, FRESH) > 0 -> lane[where] = FRESH
    :: IN_QUEUE(q, RUN) > 0 -> lane[where] = RUN
    :: IN_QUEUE(q, RETRIED) > 0 -> lane[where] = RETRIED
    fi;
    IN_QUEUE(q, lane[where])--
}

inline lower_idle_flag() {
    idle[me] = 0; fed[me] = 0; woken[me] = 0
}

inline begin_task() {
    begun[NOW(me)] = 1;
    assert(lane[NOW(me)] != RUN);            /* RunsOnce */
    lane[NOW(me)] = RUN;
    doing[me] = BUSY
}

inline take_ahead() {
    doing[me] = MOVING;
    if :: !stop && !MAIL(me) && WAITING(me) -> take(me, NEXT(me)) :: else fi
}

inline clear_lane() {
    begun[NOW(me)] = 0;
    if :: UNREAD(me) -> read_report(me) :: else fi;
    reported[me] = 0;
    struck_out[me] = 0;
    lane[NOW(me)] = lane[NEXT(me)];          /* the lanes change places */
    lane[NEXT(me)] = NO_TASK
}

/* It may have done as many tasks as it was to do, or grown too large. */
inline perhaps_the_last() {
    if :: true :: retirements > 0 -> retirements--; stop = 1 fi
}

/* A worker that cannot be killed any more takes in one step what nobody could tell from several. */
#define MORTAL(w) ((w) < CRASHES && crashes > 0)

proctype Worker(byte me) {
    bit stop;

absent:
end_absent:
    atomic {
        if
        :: life[me] == STARTING
        :: life[me] == UP -> goto asleep
        :: life[me] == KILLED -> life[me] = DEAD; goto absent
        fi
    }
    {
        atomic { life[me] = UP; doing[me] = MOVING }
top:
        /* Mail, then its own queue, then the others'. */
        atomic {
            doing[me] = MOVING;
            look_round[me] = 0;
            if :: stop_mail[me] -> stop = 1; stop_mail[me] = 0 :: else fi;
            if :: message[me] -> message[me] = 0; doing[me] = BUSY; goto top :: else fi;
            if :: stop -> goto leave :: else fi;
            if
            :: WAITING(me) -> take(me, NOW(me))
            :: !WAITING(me) && WAITING(OTHER(me, 1)) -> take(OTHER(me, 1), NOW(me))
            :: !WAITING(me) && WAITING(OTHER(me, 2)) -> take(OTHER(me, 2), NOW(me))
            :: !TOKENS -> goto raise
            fi;
            if :: MORTAL(me) -> goto taken :: else -> begin_task(); goto running fi
        }
taken:
        atomic { begin_task() }
running:
        atomic {
            take_ahead();
            if
            :: MORTAL(me)
            :: else ->
                reported[me] = 1;
                clear_lane();
                if
                :: lane[NOW(me)] != NO_TASK -> begin_task(); goto running
                :: else -> perhaps_the_last(); goto top
                fi
            fi
        }
        reported[me] = 1;
        atomic {
            clear_lane();
            if :: lane[NOW(me)] != NO_TASK -> goto taken :: else -> perhaps_the_last(); goto top fi
        }
raise:
        idle[me] = 1;
        /* The last look: it takes nothing, so that a worker whose flag is up holds nothing. */
        atomic {
            if
            :: TOKENS || MAIL(me) -> lower_idle_flag(); goto top
            :: else -> doing[me] = ASLEEP
            fi
        }
asleep:
end_asleep:
        atomic { WAITING(me) || MAIL(me) -> doing[me] = MOVING; lower_idle_flag(); goto top }
leave:
        atomic { exiting[me] = 1; doing[me] = BUSY }
        life[me] = KILLED;
        false
    } unless {
        atomic { life[me] == KILLED -> life[me] = DEAD; doing[me] = MOVING; stop = 0; goto absent }
    }
}

/* ------------------------------------------------------------------ pool */

#define BACKLOG (backlog[FRESH] + backlog[RUN] + backlog[RETRIED])
#define PUSHING (pushing[FRESH] + pushing[RUN] + pushing[RETRIED])
#define PENDING (TASKS - ended)
#define DISPATCHED (PENDING - BACKLOG)
#define LIVE (OPEN(0) + OPEN(1) + OPEN(2))
#define SLEEPER(w) (OPEN(w) && idle[w] && !woken[w])
#define SPOKEN_FOR(w) (fed[w] || message[w])

inline have_look_round(w) {
    woken[w] = 1;
    look_round[w] = (life[w] == UP)
}

inline wake_if_fed(w, but) {
    if :: but != w && SLEEPER(w) && SPOKEN_FOR(w) -> have_look_round(w) :: else fi
}

/* Have up to `count` sleeping workers look round, each once per sleep; and those that were counted
 * on for a task in their queue, because a thief may take that from under them. */
inline wake(but) {
    if
    :: count > 0 ->
        wake_if_fed(0, but); wake_if_fed(1, but); wake_if_fed(2, but);
        do
        :: count > 0 && but != 0 && SLEEPER(0) -> have_look_round(0); count--
        :: count > 0 && but != 1 && SLEEPER(1) -> have_look_round(1); count--
        :: count > 0 && but != 2 && SLEEPER(2) -> have_look_round(2); count--
        :: else -> break
        od;
        count = 0
    :: else
    fi
}

inline choose(kind) {
    backlog[kind]--;
    pushing[kind]++;
    count++
}

/* Choose some of the tasks that wait, and a slot. */
inline plan() {
    alone = (DISPATCHED == 0);
    if :: OPEN(0) -> slot = 0 :: OPEN(1) -> slot = 1 :: OPEN(2) -> slot = 2 fi;
    do
    :: backlog[FRESH] > 0 -> choose(FRESH)
    :: backlog[RUN] > 0 -> choose(RUN)
    :: backlog[RETRIED] > 0 -> choose(RETRIED)
    :: count > 0 -> break
    od
}

/* One write. */
inline push() {
    IN_QUEUE(slot, FRESH) = IN_QUEUE(slot, FRESH) + pushing[FRESH];
    IN_QUEUE(slot, RUN) = IN_QUEUE(slot, RUN) + pushing[RUN];
    IN_QUEUE(slot, RETRIED) = IN_QUEUE(slot, RETRIED) + pushing[RETRIED];
    pushing[FRESH] = 0; pushing[RUN] = 0; pushing[RETRIED] = 0
}

/* The push itself wakes the owner if it sleeps, for one task; but when there are others about, a
 * thief may be too, and take that task before the owner gets up: so it is told. */
inline wake_idle() {
    if
    :: SLEEPER(slot) && !SPOKEN_FOR(slot) ->
        fed[slot] = 1;
        count--;
        if :: !alone -> have_look_round(slot) :: else fi
    :: else
    fi;
    wake(slot)
}

inline send() {
    atomic { at_rest = 0; plan(); push() }
    atomic { wake_idle(); slot = 0; alone = 0; at_rest = 1 }
}

inline account_for(where) {
    if
    :: lane[where] != NO_TASK && !begun[where] -> backlog[lane[where]]++
    :: lane[where] != NO_TASK && begun[where] ->
        crashed = 1;
        assert(!reported[slot]);             /* ReportsCount */
        if
        :: backlog[(crashes > 0 -> RETRIED : FRESH)]++      /* it had a retry left */
        :: ended++                           /* WorkerCrashed */
        fi
    :: else
    fi;
    lane[where] = NO_TASK;
    begun[where] = 0
}

/* Account for a process that has ended, replace it, wake others for what is left in the queues. */
inline bury(w) {
    slot = w;
    if :: UNREAD(slot) -> read_report(slot) :: else fi;
    crashed = !leaving[slot] && !exiting[slot];
    if
    :: struck_out[slot] -> lane[NOW(slot)] = NO_TASK; begun[NOW(slot)] = 0
    :: else -> account_for(NOW(slot))
    fi;
    account_for(NEXT(slot));
    reported[slot] = 0; struck_out[slot] = 0;
    idle[slot] = 0; fed[slot] = 0; woken[slot] = 0;
    look_round[slot] = 0; stop_mail[slot] = 0; message[slot] = 0;
    exiting[slot] = 0; leaving[slot] = 0;
    life[slot] = (crashed -> STARTING : NONE);
    slot = 0;
    do
    :: slot < WORKERS && PENDING > LIVE && life[slot] == NONE -> life[slot] = STARTING; slot++
    :: slot < WORKERS && !(PENDING > LIVE && life[slot] == NONE) -> slot++
    :: slot == WORKERS -> break
    od;
    slot = 0; crashed = 0;
    count = TOKENS;
    wake(NOBODY)
}

#define LEAVES(w) (exiting[w] && !leaving[w] && life[w] == UP)
#define MAY_POST(w) (messages > 0 && life[w] == UP && !leaving[w])
#define MAY_RETIRE(w) (retirements > 0 && life[w] == UP && !leaving[w])

proctype Pool() {
    byte slot, count;
    bit crashed, alone;

rest:
    do
    :: atomic { PENDING == 0 -> break }
    :: atomic { UNREAD(0) && life[0] == UP -> read_report(0) }
    :: atomic { UNREAD(1) && life[1] == UP -> read_report(1) }
    :: atomic { UNREAD(2) && life[2] == UP -> read_report(2) }
    :: BACKLOG && LIVE -> send()
    :: atomic { life[0] == DEAD -> bury(0) }
    :: atomic { life[1] == DEAD -> bury(1) }
    :: atomic { life[2] == DEAD -> bury(2) }
    :: atomic { LEAVES(0) -> leaving[0] = 1; count = TOKENS; wake(0) }
    :: atomic { LEAVES(1) -> leaving[1] = 1; count = TOKENS; wake(1) }
    :: atomic { LEAVES(2) -> leaving[2] = 1; count = TOKENS; wake(2) }
    :: atomic { MAY_POST(0) -> messages--; slot = 0; at_rest = 0; goto post }
    :: atomic { MAY_POST(1) -> messages--; slot = 1; at_rest = 0; goto post }
    :: atomic { MAY_POST(2) -> messages--; slot = 2; at_rest = 0; goto post }
    :: atomic { MAY_RETIRE(0) -> retirements--; slot = 0; at_rest = 0; goto retire }
    :: atomic { MAY_RETIRE(1) -> retirements--; slot = 1; at_rest = 0; goto retire }
    :: atomic { MAY_RETIRE(2) -> retirements--; slot = 2; at_rest = 0; goto retire }
    od;
    goto over;
retire:
    atomic { leaving[slot] = 1; count = TOKENS; wake(slot) }
    atomic {
        if :: life[slot] == UP -> stop_mail[slot] = 1 :: else fi;
        slot = 0; at_rest = 1; goto rest
    }
post:
    woken[slot] = idle[slot];                /* read first: a sleep that begins later is another */
    atomic { if :: life[slot] == UP -> message[slot] = 1 :: else fi }
    atomic { count = TOKENS; wake(slot); slot = 0; at_rest = 1; goto rest }
over:
    skip
}

/* SIGKILL between any two steps, or never. The slots are alike: so many kills need as many of them. */
proctype Killer() {
end_killer:
    do
    :: atomic { MORTAL(0) && life[0] == UP -> crashes--; life[0] = KILLED }
    :: atomic { MORTAL(1) && life[1] == UP -> crashes--; life[1] = KILLED }
    od
}

/* ------------------------------------------------------------ properties */

#define SLEEPS(w) (life[w] == UP && doing[w] == ASLEEP && !WAITING(w) && !MAIL(w))
#define IN_USER_CODE(w) (life[w] == UP && doing[w] == BUSY && !LEAVES(w))
#define STILL(w) (life[w] == NONE || life[w] == STARTING || SLEEPS(w) || IN_USER_CODE(w))
#define HELD(w) ((lane[NOW(w)] != NO_TASK && !struck_out[w]) + (lane[NEXT(w)] != NO_TASK))

proctype Monitor() {
end_monitor:
    if
    :: atomic {
        at_rest && TOKENS && STILL(0) && STILL(1) && STILL(2) && (SLEEPS(0) || SLEEPS(1) || SLEEPS(2));
        assert(false)                        /* NoneWaitsBesideASleeper */
    }
    :: atomic {
        BACKLOG + PUSHING + TOKENS + HELD(0) + HELD(1) + HELD(2) + ended != TASKS;
        assert(false)                        /* EachInOnePlace */
    }
    fi
}

/* The pool has three workers, all asleep. */
init {
    atomic {
        backlog[FRESH] = TASKS;
        life[0] = UP; life[1] = UP; life[2] = UP;
        idle[0] = 1; idle[1] = 1; idle[2] = 1;
        doing[0] = ASLEEP; doing[1] = ASLEEP; doing[2] = ASLEEP;
        at_rest = 1;
        run Monitor(); run Pool(); run Worker(0); run Worker(1); run Worker(2); run Killer()
    }
}
