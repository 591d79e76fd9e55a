#!/usr/bin/env python3
"""Makes reel.c of all the library's sources, for programs that want one file and no library.

    amalgamate.py OUTPUT --root DIR --compiler=COMMAND --headers FILE... --code FILE... --samples FILE...
                  --kernels FILE... --level NAME[=FEATURE,...]... [--depfile FILE]

Each file's text comes once, headed by its name, a header's where it is first included. System headers that are
always included come first of all. Files under --samples are for tests, behind REEL_WITH_SAMPLES.

Files under --kernels come at the end, once for each level (ops/kernels/levels.h): behind pragmas that name the
instruction set, with REEL_LEVEL set, and with macros that put the level behind each name which they declare. So do
the headers in ops/kernels that they include, but for those that mention REEL_LEVEL: these declare what the rest of
the library calls, and are shared. Which names there are, the compiler's preprocessor shows.

The output depends on the sources alone.
"""
import argparse
import os
import re
import subprocess
import sys

INCLUDE = re.compile(r'^#\s*include\s+([<"])([^>"]+)[>"]')
GUARD = re.compile(r'^#ifndef (\w+_H)\n#define \1\n', re.M)
KERNELS = 'ops/kernels/'
NO_NAMES = {'static', 'inline', 'const', 'void', 'struct', 'union', 'enum', 'typedef', 'extern'}

BANNER = '''\
/* Reel {version} in one file: tensors, a tape, and gradients that can be trusted.
 *
 *     cc -O2 program.c reel.c -lm -lpthread
 *
 * Everything is in here, reel.h too; programs include the reel.h (and reel_train.h) that came along. It is made of many
 * files by dist/amalgamate.py: change those. Matrices are multiplied by kernels of its own, not by
 * BLIS, and no PNG files are written.
 *
{licence}
 */
#define REEL_WITHOUT_BLIS
#define REEL_WITHOUT_PNG
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                                 /* for -std=c11 and the like                   */
#endif

/* Every multiplication and addition rounds by itself, whatever flags this file is compiled with, and loops become
 * vectors at -O2 too. */
#if defined(__clang__)
#pragma clang fp contract(off)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunknown-pragmas"          /* omp simd: loops become vectors without it, too */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"      /* not so where a file is seen alone */
#pragma GCC optimize("fp-contract=off", "no-math-errno", "no-trapping-math")
#ifdef __OPTIMIZE__
#pragma GCC optimize("tree-vectorize", "vect-cost-model=dynamic")
#endif
#endif
'''

LEVEL_BEGINS = '''\
#if !defined(__clang__)
#pragma GCC push_options
#ifdef __OPTIMIZE__
#pragma GCC optimize("O2", "tree-vectorize", "vect-cost-model=dynamic")
#endif
#endif
'''

FEATURES_BEGIN = '''\
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("{features}"))), apply_to = function)
#else
#pragma GCC target("{features}")
#endif
'''

FEATURES_END = '''
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
'''

LEVEL_ENDS = '''
#if !defined(__clang__)
#pragma GCC pop_options
#endif
'''

HIDDEN = '''
#if defined(__x86_64__)
#include <immintrin.h>                              /* before a level's pragmas could change what it declares */
#endif
/* What is not in reel.h or reel_train.h is nobody else's. */
#pragma GCC visibility push(hidden)
'''

END = '''
#pragma GCC visibility pop
#if defined(__clang__)
#pragma clang diagnostic pop
#else
#pragma GCC diagnostic pop
#endif
'''




def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def title(name):
    return f'\n\n/* ==== {name} {"=" * max(4, 94 - len(name))} */\n\n'


def declared_names(text):
    """What preprocessed C declares at file scope: functions, variables, types, tags and enumerators."""
    text = re.sub(r'__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)', ' ', text)
    names = set(re.findall(r'\b(?:struct|union|enum)\s+(\w+)\s*\{', text))
    names.update(re.findall(r'\btypedef\b[^;{]*\(\s*\*\s*(\w+)\s*\)', text))
    for enumerators in re.findall(r'\benum\b[^{;()]*\{([^}]*)\}', text):
        names.update(re.findall(r'(?:^|,)\s*(\w+)', enumerators))
    for brackets, left in (r'\{[^{}]*\}', ' @ '), (r'\([^()]*\)', ' '), (r'\[[^\[\]]*\]', ' '):
        while re.search(brackets, text):                # the innermost, until none are left
            text = re.sub(brackets, left, text)
    text = re.sub(r'(\b(?:struct|union|enum)\b[^;@]*|=\s*)@', r'\1', text)      # all other braces end a function
    for declaration in re.split('[;@]', text):
        names.update(re.findall(r'(\w+)\s*(?:=[^,]*)?(?:,|$)', declaration.strip()))
    return {name for name in names - NO_NAMES if not name.startswith('_')}


class Amalgam:
    def __init__(self, root, public, compiler):
        self.root, self.compiler = root, compiler
        self.public = {os.path.basename(path): path for path in public}
        self.read, self.done, self.system = {}, set(), set()
        self.text = ''

    def source(self, path):
        if path not in self.read:
            self.read[path] = read(os.path.join(self.root, path))
        return self.read[path]

    def body(self, path):
        """A file's text, without its include guard."""
        text = self.source(path)
        guard = GUARD.search(text)
        if not guard:
            return text
        return text[:guard.start()] + text[guard.end():text.rindex('#endif')]

    def expand(self, path, included):
        """A file's text, with included(path) in the place of each include of ours."""
        out, depth = [], 0
        for line in self.body(path).splitlines():
            depth += bool(re.match(r'#\s*if', line)) - bool(re.match(r'#\s*endif', line))
            include = INCLUDE.match(line)
            name = include and include[2]
            if name and (name in self.public or include[1] == '"'):
                out.append(included(self.public.get(name, name)))
            elif name and not depth:
                self.system.add(name)
            else:
                out.append(line)
        return re.sub(r'\n{3,}', '\n\n\n', '\n'.join(out).strip()) + '\n'

    def add(self, path, condition=None):
        if path not in self.done:
            self.done.add(path)
            text = self.expand(path, self.add)
            self.text += title(path) + (f'#ifdef {condition}\n\n{text}\n#endif\n' if condition else text)
        return ''

    def gather(self, kernels):
        """The files whose text comes once a level, in order, and the names behind which the level is put."""
        texts, seen, names = [], set(), set()

        def add(path):
            guarded = path.endswith('.c') or GUARD.search(self.source(path))
            if not path.startswith(KERNELS) or 'REEL_LEVEL' in self.source(path):
                self.add(path)
                names.update(re.findall(r'#\s*define\s+(\w+)\s+REEL_AT_LEVEL\(\1\)', self.source(path)))
            elif not guarded:                           # a template: each time that it is included
                seen.add(path)
                return self.expand(path, add)
            elif path not in seen:
                seen.add(path)
                texts.append((path, self.expand(path, add)))
            return ''
        for path in kernels:
            add(path)
        if any('__AVX' in text for _, text in texts):
            sys.exit('a kernel asks for __AVX...: not every compiler tells that here; ask for REEL_VECTOR_BYTES')
        return texts, seen, names

    def names_at(self, level, flags, kernel, files):
        """The names that a kernel and the given headers declare at a level."""
        command = self.compiler + ['-E', f'-DREEL_LEVEL={level}', '-DREEL_WITHOUT_BLIS', '-I.', '-Iinclude', kernel]
        output = subprocess.run(command + flags, cwd=self.root, check=True, capture_output=True, text=True).stdout
        kept, ours = [], False
        for line in output.splitlines():
            marker = re.match(r'# \d+ "([^"]*)"', line)
            if marker:
                ours = os.path.normpath(marker[1]) in files
            elif ours:
                kept.append(line)
        return declared_names('\n'.join(kept))

    def add_levels(self, levels, kernels):
        texts, files, names = self.gather(kernels)
        for level, features in levels:
            for kernel in kernels:
                names |= self.names_at(level, ['-m' + feature for feature in features], kernel, files)
        names = {name for name in names if not name.endswith(tuple('_' + level for level, _ in levels))}
        macros = sorted({macro for _, text in texts for macro in re.findall(r'^\s*#\s*define\s+(\w+)', text, re.M)})
        self.text += title('names that are there once a level')
        taken = set(re.findall(r'^\s*#\s*define\s+(\w+)', self.text, re.M))
        for name in sorted(names - set(macros)):
            self.text += f'#undef {name}\n' if name in taken else ''
            self.text += f'#define {name} REEL_AT_LEVEL({name})\n'
        for level, features in levels:
            self.text += title(f'level {level}') + LEVEL_BEGINS
            if features:
                self.text += FEATURES_BEGIN.format(features=','.join(features))
            self.text += f'#undef REEL_LEVEL\n#define REEL_LEVEL {level}\n'
            self.text += ''.join(f'#undef {macro}\n' for macro in macros)
            self.text += ''.join(title(f'{path} ({level})') + text for path, text in texts)
            self.text += (FEATURES_END if features else '') + LEVEL_ENDS


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('output')
    parser.add_argument('--root', required=True)
    parser.add_argument('--compiler', default='cc')
    parser.add_argument('--depfile')
    for many in '--headers', '--code', '--samples', '--kernels':
        parser.add_argument(many, nargs='+', default=[])
    parser.add_argument('--level', action='append', default=[], metavar='NAME[=FEATURE,...]')
    a = parser.parse_args()

    def inside(paths):
        return [os.path.relpath(path, a.root).replace(os.sep, '/') for path in paths]

    amalgam = Amalgam(a.root, inside(a.headers), a.compiler.split())
    for path in inside(a.headers) + inside(a.code):
        amalgam.add(path)
    for path in inside(a.samples):
        amalgam.add(path, 'REEL_WITH_SAMPLES')
    levels = [(level.partition('=')[0], [f for f in level.partition('=')[2].split(',') if f]) for level in a.level]
    amalgam.add_levels(levels, inside(a.kernels))

    version = '.'.join(re.search(rf'#define REEL_VERSION_{part} (\d+)', amalgam.text)[1]
                       for part in ('MAJOR', 'MINOR', 'PATCH'))
    licence = '\n'.join(f' * {line}'.rstrip() for line in amalgam.source('LICENSE').splitlines())
    with open(a.output, 'w', encoding='utf-8') as file:
        file.write(BANNER.format(version=version, licence=licence))
        file.write('\n' + ''.join(f'#include <{name}>\n' for name in sorted(amalgam.system)) + HIDDEN)
        file.write(amalgam.text + END)
    if a.depfile:
        with open(a.depfile, 'w', encoding='utf-8') as file:
            file.write(f'{a.output}: ' + ' '.join(os.path.join(a.root, path) for path in sorted(amalgam.read)) + '\n')


main()
